import type { PasswordRefused } from './identity.errors';
import { assertAcceptable, MAX_PASSWORD_LENGTH, needsRehash, type PasswordOwner } from './password';

const ADA = { email: 'Lovelace@example.org', profile: { firstName: 'Ada', lastName: 'de la Byron' } };
const COMMON = { has: (password: string) => password === 'qwertyuiopasdfgh' };
const faults = (password: string, owner: PasswordOwner = ADA): string[] => {
  try {
    assertAcceptable(password, owner, COMMON);
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
    ['a common one and more', 'qwertyuiopasdfgh and more'],
    ['a short name, which is in half of all words', 'an adamant mind'],
  ])('SEC-4 of %s is accepted', (_, password) => {
    expect(faults(password)).toEqual([]);
  });

  it.each([
    ['14 characters', 'abcdefghijklmn', ['too_short']],
    ['14 characters that are 15 before normalisation', `${'a'.repeat(13)}e\u0301`, ['too_short']],
    ['14 characters that are 28 UTF-16 units', '🌱'.repeat(14), ['too_short']],
    ['more than the longest', 'x'.repeat(MAX_PASSWORD_LENGTH + 1), ['too_long']],
    ['the name in the address', 'my LOVELACE secret', ['contains_email']],
    ['the domain of the address', 'for example, a password', ['contains_email']],
    ['the last name', 'a poem of BYRON, perhaps', ['contains_name']],
    ['the service', 'my key to Studently', ['contains_service']],
    ['what is common', 'qwertyuiopasdfgh', ['common']],
    ['what is common in capitals', 'QWERTYuiopasdfgh', ['common']],
    ['what is common between blanks', ' qwertyuiopasdfgh ', ['common']],
    ['two faults', 'lovelace', ['too_short', 'contains_email']],
    ['nothing', '', ['too_short']],
  ])('SEC-4 of %s is refused with its rules', (_, password, expected) => {
    expect(faults(password)).toEqual(expected);
  });

  it('SEC-4 may hold parts of an address so short that they are in half of all words, but not the longer ones', () => {
    expect(faults('a banana and an apple', { email: 'an@mail.example.org' })).toEqual([]);
    expect(faults('the first of may, grace', { email: 'grace.hopper@navy.mil' })).toEqual(['contains_email']);
    expect(faults('navy blue and hopeful', { email: 'grace.hopper@navy.mil' })).toEqual([]);
  });

  it.each([
    ['today’s parameters', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', false],
    ['more memory', '$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA', false],
    ['less memory', '$argon2id$v=19$m=9216,t=4,p=1$c2FsdA$aGFzaA', true],
    ['fewer passes', '$argon2id$v=19$m=19456,t=1,p=1$c2FsdA$aGFzaA', true],
  ])('SEC-9 hashed with %s: needs another hash: %s', (_, hash, expected) => {
    expect(needsRehash(hash)).toBe(expected);
  });
});
