import { hash, verify } from '@node-rs/argon2';
import type { FieldFault } from '@studently/platform';
import { PasswordRefused } from './identity.errors';

/** NIST SP 800-63B-4: at least 15 characters where the password is the only factor. */
export const MIN_PASSWORD_LENGTH = 15;
export const MAX_PASSWORD_LENGTH = 256;

/** OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane; 8 ms of CPU. */
const ARGON2ID = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Characters, not UTF-16 units; NFC, so that the same password typed on another keyboard is the same. */
const normalise = (password: string) => password.normalize('NFC');

/** @throws PasswordRefused naming each rule that is broken */
export function checkPassword(password: string, email: string): void {
  const length = [...normalise(password)].length;
  const faults: FieldFault[] = [];
  const refuse = (code: string, message: string) => faults.push({ path: 'password', code, message });
  if (length < MIN_PASSWORD_LENGTH) refuse('too_short', `Use at least ${MIN_PASSWORD_LENGTH} characters: a few words will do.`);
  if (length > MAX_PASSWORD_LENGTH) refuse('too_long', `Use at most ${MAX_PASSWORD_LENGTH} characters.`);
  const name = email.split('@')[0]!.toLowerCase();
  if (name.length >= 4 && normalise(password).toLowerCase().includes(name)) {
    refuse('contains_email', 'Do not use your e-mail address in your password.');
  }
  if (faults.length > 0) throw new PasswordRefused(faults);
}

/** An argon2id hash in PHC format, computed off the event loop. */
export async function hashPassword(password: string): Promise<string> {
  return hash(normalise(password), ARGON2ID);
}

let nobodysHash: Promise<string> | undefined;

/** Checks against `passwordHash`; without one (no such user) it takes the same time and is false. */
export async function verifyPassword(password: string, passwordHash: string | undefined): Promise<boolean> {
  nobodysHash ??= hashPassword('nobody has this password');
  const matches = await verify(passwordHash ?? (await nobodysHash), normalise(password));
  return matches && passwordHash !== undefined;
}
