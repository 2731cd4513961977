import { checkPassword, hashPassword, MAX_PASSWORD_LENGTH, verifyPassword } from './password';
import type { PasswordRefused } from './identity.errors';

const EMAIL = 'Lovelace@example.org';
const faults = (password: string, email = EMAIL): string[] => {
  try {
    checkPassword(password, email);
    return [];
  } catch (error) {
    return (error as PasswordRefused).details.faults!.map((fault) => fault.code);
  }
};

describe('A password', () => {
  it.each([
    ['15 characters', 'abcdefghijklmno'],
    ['15 characters outside the basic plane', '🌱'.repeat(15)],
    ['the longest allowed', 'x'.repeat(MAX_PASSWORD_LENGTH)],
    ['words with blanks', 'correct horse battery'],
    ['neither digits nor capitals', 'only small letters here'],
  ])('SEC-4 of %s is accepted', (_, password) => {
    expect(faults(password)).toEqual([]);
  });

  it.each([
    ['14 characters', 'abcdefghijklmn', ['too_short']],
    ['14 characters that are 15 before normalisation', `${'a'.repeat(13)}e\u0301`, ['too_short']],
    ['14 characters that are 28 UTF-16 units', '🌱'.repeat(14), ['too_short']],
    ['more than the longest', 'x'.repeat(MAX_PASSWORD_LENGTH + 1), ['too_long']],
    ['the name in the address', 'my LOVELACE secret', ['contains_email']],
    ['two faults', 'lovelace', ['too_short', 'contains_email']],
    ['nothing', '', ['too_short']],
  ])('SEC-4 of %s is refused with its rules', (_, password, expected) => {
    expect(faults(password)).toEqual(expected);
  });

  it('SEC-4 may hold a name so short that it is in half of all words', () => {
    expect(faults('a banana and an apple', 'an@example.org')).toEqual([]);
  });

  it('ID-3 SEC-9 is kept as argon2id with at least the parameters of OWASP, salted', async () => {
    const [first, second] = await Promise.all([hashPassword('a very long password'), hashPassword('a very long password')]);
    expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(second).not.toBe(first);
  });

  it('SEC-9 is verified in any Unicode spelling, in full length, and only against a hash', async () => {
    const long = 'x'.repeat(200);
    const hash = await hashPassword(`José ${long}`);
    expect(await verifyPassword(`José ${long}`, hash)).toBe(true);
    expect(await verifyPassword(`Jose\u0301 ${long}`, hash)).toBe(true);
    expect(await verifyPassword(`José ${long.slice(1)}`, hash)).toBe(false); // no truncation
    expect(await verifyPassword('nobody has this password', undefined)).toBe(false);
  });
});
