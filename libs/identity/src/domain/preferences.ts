import { ValidationFailed } from '@studently/platform';
import { z } from 'zod';
import type { JsonObject, JsonValue } from './merge-patch';

const TimeZone = z.string().refine(isZone, 'the IANA name of a time zone, such as Europe/Berlin');

const TimeOfDay = z.union(
  [z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/), z.int().min(0).max(23)],
  'HH:MM, or an hour from 0 to 23',
);

const others = z.custom<JsonValue>();

/** What the platform itself goes by has a form: when the learner's days begin, and where. All other keys are the client's. */
export const Preferences = z.object({ timeZone: TimeZone, dayStartsAt: TimeOfDay }).partial().catchall(others);

/** As a merge patch: null takes a key away. */
export const PreferencesPatch = z
  .object({ timeZone: TimeZone.nullable(), dayStartsAt: TimeOfDay.nullable() })
  .partial()
  .catchall(others);

/** They are part of each view of a user, also in a list of two hundred; and a patch adds to what is there. */
const MAX_CHARACTERS = 64 * 1024;

/** @throws ValidationFailed */
export function checkPreferences(preferences: JsonObject): void {
  if (JSON.stringify(preferences).length > MAX_CHARACTERS) {
    const message = `All preferences together have at most ${MAX_CHARACTERS} characters, as JSON.`;
    throw new ValidationFailed([{ path: 'preferences', code: 'too_big', message }]);
  }
  const { error } = Preferences.safeParse(preferences);
  if (!error) return;
  throw new ValidationFailed(
    error.issues.map(({ path, code, message }) => ({ path: ['preferences', ...path].join('.'), code, message })),
  );
}

/** Intl knows bare offsets too, which know no summer time. */
function isZone(name: string): boolean {
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions();
    return /^[A-Z]/i.test(timeZone);
  } catch {
    return false;
  }
}
