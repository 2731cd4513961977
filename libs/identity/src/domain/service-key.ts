import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { SessionToken } from './session.entity';

const PREFIX = 'sk_';
/** The prefix, and what a session token is long. A session token may begin like this by chance, but is shorter. */
const LENGTH = PREFIX.length + 86;
const SECRET_BYTES = 32;

/** `sk_` and, as in a session token: which account, which key, 256 random bits. Only the bits prove anything. */
export class ServiceKey {
  private constructor(
    readonly accountId: string,
    readonly keyId: string,
    private readonly token: SessionToken,
  ) {}

  /** A new key, to be shown once, and the hash by which it is known. */
  static generate(accountId: string): { id: string; key: string; secretHash: Buffer } {
    const id = randomUUID();
    const secret = randomBytes(SECRET_BYTES);
    const key = PREFIX + SessionToken.encode(accountId, id, secret);
    return { id, key, secretHash: createHash('sha256').update(secret).digest() };
  }

  /** Whether it is meant as a service key, good or bad. */
  static isMeant(text: string): boolean {
    return text.startsWith(PREFIX) && text.length === LENGTH;
  }

  /** @returns undefined for what is not a key */
  static decode(text: string): ServiceKey | undefined {
    const token = ServiceKey.isMeant(text) ? SessionToken.decode(text.slice(PREFIX.length)) : undefined;
    return token && new ServiceKey(token.userId, token.sessionId, token);
  }

  /** @param secretHash SHA-256, 32 bytes */
  proves(secretHash: Buffer): boolean {
    return this.token.proves(secretHash);
  }
}
