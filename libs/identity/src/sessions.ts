import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { z } from 'zod';
import {
  Database,
  EventConsumers,
  Expiry,
  ExpiringMap,
  ROLES,
  SESSION_STORE,
  SYSTEM,
  UnitOfWork,
  type KeyValueStore,
  type Learner,
} from '@studently/platform';
import { SessionRevoked, Unauthenticated } from './domain/identity.errors';
import { SESSION_SECONDS, SessionToken } from './domain/session.entity';
import { PasswordChanged, RoleChanged, SessionsRevoked, SessionValueCorrupted, UserDeleted } from './identity.events';
import { Revocations } from './revocations';

/** What is kept under `session:<id>`. PostgreSQL has the same; this saves asking it at each request. */
const SessionData = z.object({
  userId: z.guid(), // as clients may choose it
  role: z.enum(ROLES),
  issuedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  /** SHA-256 of the token's secret, base64. */
  secretHash: z.base64().length(44),
  ipHash: z.string(),
  userAgentHash: z.string(),
  authLevel: z.number().int().min(1),
  epoch: z.number().int().min(1),
});
export type SessionData = z.infer<typeof SessionData>;

/**
 * Who has proved to be somebody is not looked up again for so long: a page that sends ten requests asks once. Shorter than the
 * second within which an ended session is refused everywhere, whatever else a process hears or does not hear.
 */
const BELIEVED_MS = 500;
const MOST_BELIEVED = 20_000;

/** Stands in place of the data of a session that has ended, until it would have expired. */
const REVOKED = 'revoked';

const LOAD = `
  select s.revoked_at is not null or s.epoch <> u.session_epoch as revoked,
         ceil(extract(epoch from s.expires_at - now()))::int as "secondsLeft",
         json_build_object(
           'userId', s.user_id, 'role', u.role, 'issuedAt', iso8601(s.created_at), 'expiresAt', iso8601(s.expires_at),
           'secretHash', encode(s.secret_hash, 'base64'), 'ipHash', s.ip_hash, 'userAgentHash', s.user_agent_hash,
           'authLevel', s.auth_level, 'epoch', s.epoch)::text as data
  from sessions s join users u on u.id = s.user_id
  where s.user_id = $1 and s.id = $2 and s.expires_at > now()`;

/** Who sends a request: from the session store, else from PostgreSQL, which alone decides what is revoked. */
@Injectable()
export class Sessions implements OnModuleInit {
  /** By their token. */
  private readonly believed = new ExpiringMap<Learner & { sessionId: string }>(MOST_BELIEVED);

  constructor(
    @Inject(SESSION_STORE) private readonly store: KeyValueStore,
    private readonly database: Database,
    private readonly consumers: EventConsumers,
    private readonly unitOfWork: UnitOfWork,
    private readonly expiry: Expiry,
    private readonly revocations: Revocations,
  ) {}

  onModuleInit(): void {
    const condition = 'expires_at < now()';
    this.expiry.register({ table: 'sessions', condition, key: 'user_id, id' });
    this.expiry.register({ table: 'revoked_sessions', condition, key: 'id' });
    for (const type of [SessionsRevoked, PasswordChanged, RoleChanged, UserDeleted]) {
      this.consumers.on(type, (event) => this.forget(event.endedSessions));
    }
  }

  /** At once for whoever has just proved it. @throws Unauthenticated or SessionRevoked */
  authenticate(token: string): Learner | Promise<Learner> {
    const believed = this.believed.get(token)?.value;
    return believed && !this.revocations.has(believed.sessionId) ? believed : this.prove(token);
  }

  private async prove(token: string): Promise<Learner> {
    const claim = SessionToken.decode(token);
    if (!claim) throw new Unauthenticated();
    if (this.revocations.has(claim.sessionId)) throw new SessionRevoked();
    const data = (await this.fromStore(claim)) ?? (await this.fromDatabase(claim));
    const genuine = data.userId === claim.userId && claim.proves(Buffer.from(data.secretHash, 'base64'));
    const sessionExpiresAt = Date.parse(data.expiresAt);
    const msLeft = sessionExpiresAt - Date.now();
    if (!genuine || msLeft <= 0) throw new Unauthenticated();
    const learner = { userId: data.userId, role: data.role, sessionId: claim.sessionId, sessionExpiresAt };
    this.believed.set(token, learner, Math.min(BELIEVED_MS, msLeft));
    return learner;
  }

  /** Whether the session has ended before its time; undefined while this process has not heard of any for too long to say. */
  hasEnded(sessionId: string): boolean | undefined {
    return this.revocations.has(sessionId) || (this.revocations.areHeard ? false : undefined);
  }

  private async fromStore({ userId, sessionId }: SessionToken): Promise<SessionData | undefined> {
    if (!this.revocations.areHeard) return undefined; // what it holds may be older than a revocation
    let text: string | undefined;
    try {
      text = (await this.store.get([keyOf(sessionId)]))[0]?.toString();
    } catch {
      return undefined; // the store is away; the database answers
    }
    if (text === undefined) return undefined;
    if (text === REVOKED) throw new SessionRevoked();
    const parsed = SessionData.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    await this.store.delete([keyOf(sessionId)]).catch(() => undefined); // else it is found again, and judged the same
    await this.unitOfWork.run(SYSTEM, async (tx) => tx.record(new SessionValueCorrupted(userId, [sessionId])));
    return undefined;
  }

  private async fromDatabase({ userId, sessionId }: SessionToken): Promise<SessionData> {
    const [row] = await this.database.read<{ revoked: boolean; secondsLeft: number; data: string }>(
      { userId, role: 'STUDENT' },
      LOAD,
      [userId, sessionId],
    );
    if (!row) throw new Unauthenticated();
    if (row.revoked) throw new SessionRevoked();
    // If absent: a revocation that came in between has left its mark, which must stay.
    await this.store.setIfAbsent(keyOf(sessionId), row.data, row.secondsLeft).catch(() => undefined);
    return SessionData.parse(JSON.parse(row.data));
  }

  private async forget(sessionIds: readonly string[]): Promise<void> {
    const latestEnd = Math.ceil(Date.now() / 1000) + SESSION_SECONDS;
    for (const id of sessionIds) this.revocations.add(id, latestEnd);
    await Promise.all(sessionIds.map((id) => this.store.set(keyOf(id), REVOKED, SESSION_SECONDS)));
  }
}

function keyOf(sessionId: string): string {
  return `session:${sessionId}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
