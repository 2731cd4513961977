import { ValidationFailed } from '@studently/platform';

/** So deep goes a search: whoever wants more asks another question. */
const DEEPEST = 500;
const ID_BYTES = 16;

/**
 * What has been shown, so that nothing is shown again whatever is added, removed or changed between two pages.
 * @returns ids of passages. @throws ValidationFailed if the cursor is not one of ours
 */
export function shownBefore(cursor: string | undefined): string[] {
  const bytes = Buffer.from(cursor ?? '', 'base64url');
  if (bytes.toString('base64url') !== (cursor ?? '') || bytes.length % ID_BYTES !== 0 || bytes.length > DEEPEST * ID_BYTES) {
    throw new ValidationFailed([
      { path: 'cursor', code: 'invalid_cursor', message: 'Send back nextCursor exactly as it was received.' },
    ]);
  }
  return Array.from({ length: bytes.length / ID_BYTES }, (_, nr) => {
    const hex = bytes.subarray(nr * ID_BYTES, (nr + 1) * ID_BYTES).toString('hex');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  });
}

/** @returns null where it ends: there are no more, or it is deep enough */
export function nextCursor(before: readonly string[], shown: readonly string[], wanted: number): string | null {
  if (shown.length < wanted || before.length + shown.length + wanted > DEEPEST) return null;
  return Buffer.from([...before, ...shown].join('').replaceAll('-', ''), 'hex').toString('base64url');
}
