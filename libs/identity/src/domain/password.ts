import type { FieldFault } from '@studently/platform';
import { PasswordRefused } from './identity.errors';

/** NIST SP 800-63B-4: at least 15 characters where the password is the only factor. */
export const MIN_PASSWORD_LENGTH = 15;
export const MAX_PASSWORD_LENGTH = 256;

/** OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane; about 20 ms of a core. */
export const ARGON2ID = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

const SERVICE = 'studently';
/** Fewer letters are in half of all words: "an" is in "banana". */
const SHORTEST_NAME = 4;
/** Of the parts of an address, which can be anything. */
const SHORTEST_PART = 5;

/** Whose password it is to be; what others know of somebody is guessed first. */
export interface PasswordOwner {
  email: string;
  profile?: { firstName?: string; lastName?: string } | null;
}

/** The list of passwords that everybody tries first; asked in NFC and lower case. */
export interface PasswordList {
  has(normalised: string): boolean;
}

/** NFC, so that the same password typed on another keyboard is the same. */
export function normalisePassword(password: string): string {
  return password.normalize('NFC');
}

/**
 * Length in characters, not UTF-16 units; no rules of composition, which make passwords worse.
 * @throws PasswordRefused naming each rule that is broken
 */
export function assertAcceptable(password: string, owner: PasswordOwner, common: PasswordList): void {
  const faults: FieldFault[] = [];
  const refuse = (code: string, message: string) => faults.push({ path: 'password', code, message });
  const length = [...normalisePassword(password)].length;
  if (length < MIN_PASSWORD_LENGTH) refuse('too_short', `Use at least ${MIN_PASSWORD_LENGTH} characters: a few words will do.`);
  if (length > MAX_PASSWORD_LENGTH) refuse('too_long', `Use at most ${MAX_PASSWORD_LENGTH} characters.`);
  const compared = comparable(password);
  const contains = (words: string[]) => words.some((word) => compared.includes(word));
  if (contains(wordsOfAddress(owner.email))) refuse('contains_email', 'Do not use your e-mail address in your password.');
  if (contains(wordsOfName(owner))) refuse('contains_name', 'Do not use your name in your password.');
  if (contains([SERVICE])) refuse('contains_service', 'Do not use the name of this service in your password.');
  if (common.has(compared)) refuse('common', 'This password is known from breaches and tried first: choose another one.');
  if (faults.length > 0) throw new PasswordRefused(faults);
}

/** Whether a hash in PHC format was made with less than is asked for today. */
export function needsRehash(passwordHash: string): boolean {
  const [, memory, time] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),/.exec(passwordHash) ?? [];
  return Number(memory) < ARGON2ID.memoryCost || Number(time) < ARGON2ID.timeCost;
}

function comparable(text: string): string {
  return text.normalize('NFC').trim().toLowerCase();
}

/** The part before the @ as a whole, and the longer pieces of all but the top-level domain. */
function wordsOfAddress(email: string): string[] {
  const [name = '', domain = ''] = comparable(email).split('@');
  const pieces = [name, domain.slice(0, Math.max(0, domain.lastIndexOf('.')))].flatMap((part) => part.split(/[^\p{L}\p{N}]+/u));
  return [...longer([name], SHORTEST_NAME), ...longer(pieces, SHORTEST_PART)];
}

function wordsOfName({ profile }: PasswordOwner): string[] {
  const names = [profile?.firstName, profile?.lastName].map((name) => comparable(name ?? ''));
  return longer(
    names.flatMap((name) => [name, ...name.split(/[^\p{L}\p{N}]+/u)]),
    SHORTEST_NAME,
  );
}

function longer(words: string[], shortest: number): string[] {
  return words.filter((word) => [...word].length >= shortest);
}
