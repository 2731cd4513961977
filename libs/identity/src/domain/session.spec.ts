import { createHash, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { Session, SESSION_SECONDS, SessionToken } from './session.entity';
import { User } from './user.entity';

const ID = '11111111-1111-4111-8111-111111111111';
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const NOW = new Date('2026-01-01T12:00:00.000Z');
const open = () =>
  Session.open(User.register(ID, 'ada@example.org', '$argon2id$x'), ID, { ip: '192.0.2.1', userAgent: 'test' }, NOW);

describe('A session token', () => {
  const secret = fc.uint8Array({ minLength: 32, maxLength: 32 });

  it('carries user, session and secret there and back', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.uuid(), secret, (userId, sessionId, bytes) => {
        const token = SessionToken.decode(SessionToken.encode(userId, sessionId, Buffer.from(bytes)))!;
        expect([token.userId, token.sessionId]).toEqual([userId, sessionId]);
        expect(token.proves(sha256(bytes))).toBe(true);
      }),
    );
  });

  it('proves nothing with any other secret', () => {
    fc.assert(
      fc.property(secret, fc.nat(255), (bytes, bit) => {
        const token = SessionToken.decode(SessionToken.encode(ID, ID, Buffer.from(bytes)))!;
        const other = Uint8Array.from(bytes);
        other[bit >> 3]! ^= 1 << (bit & 7);
        expect(token.proves(sha256(other))).toBe(false);
      }),
    );
  });

  it.each([
    ['nothing', () => ''],
    ['a word', () => 'token'],
    ['one byte too few', (token: string) => Buffer.from(token, 'base64url').subarray(1).toString('base64url')],
    ['one byte too many', (token: string) => `${token}AAAA`],
    ['another spelling of the same bytes', (token: string) => `${token}=`],
    ['a blank at the end', (token: string) => `${token} `],
    ['plain base64', (token: string) => Buffer.from(token, 'base64url').fill(255).toString('base64')],
  ])('that is %s is none', (_, spoil) => {
    const token = SessionToken.encode(ID, ID, randomBytes(32));
    expect(SessionToken.decode(token)).toBeDefined();
    expect(SessionToken.decode(spoil(token))).toBeUndefined();
  });

  it('is none for any text that is not one', () => {
    fc.assert(fc.property(fc.string(), (text) => expect(SessionToken.decode(text)).toBeUndefined()));
  });
});

describe('A session', () => {
  it('RED-9 ends 24 hours after login', () => {
    expect(SESSION_SECONDS).toBe(86_400);
    expect(open().session.expiresAt).toEqual(new Date('2026-01-02T12:00:00.000Z'));
  });

  it('keeps the hash of a new 256-bit secret, never the token or where the login came from', () => {
    const [first, second] = [open(), open()];
    expect(first.token).not.toBe(second.token);
    const secret = Buffer.from(first.token, 'base64url').subarray(32);
    expect(secret).toHaveLength(32);
    expect(first.session.secretHash).toEqual(sha256(secret));
    const kept = `${first.session.ipHash} ${first.session.userAgentHash}`;
    expect(kept).not.toMatch(/192|test/);
    expect(second.session.ipHash).not.toBe(first.session.ipHash); // keyed: two logins cannot be compared
  });
});
