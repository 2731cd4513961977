import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/core';
import { User } from './user.entity';

/** A session lives 24 hours from login, however much it is used. */
export const SESSION_SECONDS = 24 * 60 * 60;
const SECRET_BYTES = 32;

const SessionSchema = defineEntity({
  name: 'Session',
  tableName: 'sessions',
  properties: {
    user: () => p.manyToOne(User).primary().joinColumn('user_id').deleteRule('cascade').foreignKeyName('sessions_user_id_fkey'),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    secretHash: p.blob().comment('SHA-256 of the 256-bit secret in the token.'),
    epoch: p.integer(),
    authLevel: p.integer().default(1),
    ipHash: p.text(),
    userAgentHash: p.text(),
    createdAt: p.datetime(3).defaultRaw('now()'),
    expiresAt: p.datetime(3),
    revokedAt: p.datetime(3).nullable(),
  },
  checks: [
    { name: 'sessions_secret_hash_check', expression: 'length(secret_hash) = 32' },
    { name: 'sessions_auth_level_check', expression: 'auth_level >= 1' },
    { name: 'sessions_lifetime', expression: 'expires_at > created_at' },
  ],
  indexes: [
    { name: 'sessions_expiry', expression: 'create index sessions_expiry on sessions (expires_at)' },
    { name: 'sessions_newest', expression: 'create index sessions_newest on sessions (user_id, created_at desc, id desc)' },
  ],
});

/** Where a login came from. Kept only as keyed hashes: enough to notice a change, not to learn an address. */
export interface LoginOrigin {
  ip: string;
  userAgent: string;
}

/** A login. Its token is shown once; here is only the hash of the token's secret. */
export class Session extends SessionSchema.class {
  static open(user: User, id: string, origin: LoginOrigin, now: Date): { session: Session; token: string } {
    const secret = randomBytes(SECRET_BYTES);
    const keyed = (value: string) => createHmac('sha256', secret).update(value).digest('base64url');
    const session = Object.assign(new Session(), {
      user,
      id,
      secretHash: createHash('sha256').update(secret).digest(),
      epoch: user.sessionEpoch,
      authLevel: 1,
      ipHash: keyed(origin.ip),
      userAgentHash: keyed(origin.userAgent),
      createdAt: now,
      expiresAt: new Date(now.getTime() + SESSION_SECONDS * 1000),
    });
    return { session, token: SessionToken.encode(user.id, id, secret) };
  }
}
SessionSchema.setClass(Session);

const uuidBytes = (uuid: string) => Buffer.from(uuid.replaceAll('-', ''), 'hex');
const uuidText = (bytes: Buffer) => bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

/**
 * Opaque to clients. Inside: user id, session id and 256 random bits. Naming the user lets the lookup run
 * under that user's row-level security; only the secret proves anything.
 */
export class SessionToken {
  private constructor(
    readonly userId: string,
    readonly sessionId: string,
    private readonly secret: Buffer,
  ) {}

  static encode(userId: string, sessionId: string, secret: Buffer): string {
    return Buffer.concat([uuidBytes(userId), uuidBytes(sessionId), secret]).toString('base64url');
  }

  /** @returns undefined for what is not a token */
  static decode(text: string): SessionToken | undefined {
    const bytes = Buffer.from(text, 'base64url');
    if (bytes.length !== 32 + SECRET_BYTES || bytes.toString('base64url') !== text) return undefined;
    return new SessionToken(uuidText(bytes.subarray(0, 16)), uuidText(bytes.subarray(16, 32)), bytes.subarray(32));
  }

  /** @param secretHash SHA-256, 32 bytes */
  proves(secretHash: Buffer): boolean {
    return timingSafeEqual(createHash('sha256').update(this.secret).digest(), secretHash);
  }
}
