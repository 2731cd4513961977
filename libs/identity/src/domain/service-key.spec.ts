import { randomUUID } from 'node:crypto';
import { ServiceKey } from './service-key';

describe('a service key', () => {
  const accountId = randomUUID();

  it('names its account and itself, and proves that it is the one', () => {
    const { id, key, secretHash } = ServiceKey.generate(accountId);
    expect(key).toMatch(/^sk_[\w-]{86}$/);
    expect(ServiceKey.decode(key)).toMatchObject({ accountId, keyId: id });
    expect(ServiceKey.decode(key)!.proves(secretHash)).toBe(true);
    expect(ServiceKey.decode(key)!.proves(ServiceKey.generate(accountId).secretHash)).toBe(false);
  });

  it('is not mistaken for a session token, which may begin with the same letters', () => {
    const { key } = ServiceKey.generate(accountId);
    expect(ServiceKey.isMeant(key)).toBe(true);
    for (const other of ['', 'sk_', `sk_${'a'.repeat(83)}`, key.slice(3), `${key}A`])
      expect(ServiceKey.isMeant(other)).toBe(false);
    expect(ServiceKey.decode(`${key.slice(0, -1)}_`)).toBeUndefined(); // not as base64url ends
  });
});
