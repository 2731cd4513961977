import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { keyVersionOf } from './envelope';
import { LearnerCipher, type KeyRing } from './learner-cipher';

const key = () => createSecretKey(randomBytes(32));
const ring = (...versions: [version: number, activeFrom: number][]): KeyRing => ({
  keys: new Map(versions.map(([version, activeFrom]) => [version, { key: key(), activeFrom }])),
  index: key(),
});
const unreadable = expect.objectContaining({ code: 'SEALED_DATA_UNREADABLE', kind: 'unavailable' });

describe('Sealed data', () => {
  const keys = ring([1, 0]);
  const [userId, id] = [randomUUID(), randomUUID()];
  const cipher = new LearnerCipher(userId, keys);

  it('SEC-6 opens to what was sealed, and never looks the same twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const sealed = cipher.seal('documents.content', id, text);
        expect(cipher.open('documents.content', id, sealed)).toBe(text);
        expect(sealed.equals(cipher.seal('documents.content', id, text))).toBe(false);
        if (text.length > 8) expect(sealed.includes(text)).toBe(false);
      }),
    );
    expect(cipher.seal('documents.content', id, 'abc')).toHaveLength(3 + 12 + 3 + 16);
  });

  it('SEC-6 with any bit changed, or cut anywhere, it does not open', () => {
    const sealed = cipher.seal('chat_messages.content', id, 'What is chlorophyll?');
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => cipher.open('chat_messages.content', id, changed)).toThrow(unreadable);
    }
    for (let length = 0; length < sealed.length; length++)
      expect(() => cipher.open('chat_messages.content', id, sealed.subarray(0, length))).toThrow(unreadable);
    expect(cipher.open('chat_messages.content', id, sealed)).toBe('What is chlorophyll?');
  });

  it("SEC-6 in another row, column or cache entry, or as another learner's, it does not open, even under the same key", () => {
    const sealed = cipher.seal('profiles.first_name', id, 'Ada');
    expect(() => cipher.open('profiles.first_name', randomUUID(), sealed)).toThrow(unreadable);
    expect(() => cipher.open('profiles.last_name', id, sealed)).toThrow(unreadable);
    expect(() => new LearnerCipher(randomUUID(), keys).open('profiles.first_name', id, sealed)).toThrow(unreadable);
    expect(() => new LearnerCipher(userId, ring([1, 0])).open('profiles.first_name', id, sealed)).toThrow(unreadable);
    const cached = cipher.sealCached('a', 'header', Buffer.from('bytes'));
    expect(cipher.openCached('a', 'header', cached).toString()).toBe('bytes');
    expect(() => cipher.openCached('b', 'header', cached)).toThrow(unreadable);
    expect(() => cipher.openCached('a', 'other', cached)).toThrow(unreadable);
  });

  it('SEC-6 a key is used once every process can know it; older ones go on opening', () => {
    const now = Date.now();
    const keys = ring([1, 0], [2, now - 1], [3, now + 60_000]);
    const cipher = new LearnerCipher(userId, keys);
    expect(cipher.version).toBe(2);
    expect(keyVersionOf(cipher.seal('documents.content', id, 'x'), 'x')).toBe(2);
    const first = new LearnerCipher(userId, { ...keys, keys: new Map([[1, keys.keys.get(1)!]]) });
    expect(cipher.open('documents.content', id, first.seal('documents.content', id, 'old'))).toBe('old');
    expect(() => first.open('documents.content', id, cipher.seal('documents.content', id, 'new'))).toThrow(unreadable);
  });

  it('AI-8 a lexeme is the same for the same word of one learner, and says nothing to others', () => {
    expect(cipher.lexeme('grass')).toMatch(/^[0-9a-f]{24}$/);
    expect(cipher.lexeme('grass')).toBe(cipher.lexeme('grass'));
    expect(cipher.lexeme('grass')).not.toBe(cipher.lexeme('gras'));
    expect(cipher.lexeme('grass')).not.toBe(new LearnerCipher(userId, ring([1, 0])).lexeme('grass'));
  });
});
