import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import {
  BACKGROUND,
  DATABASE_TARGET,
  HEARS_OF_SESSIONS,
  LoneConnection,
  SYSTEM,
  type DatabaseTarget,
} from '@studently/platform';

const POLL_MS = 250;
/** Whoever has heard nothing for so long believes no store any more. */
const LONGEST_SILENCE_MS = 5000;
/** 30 MB. Where more sessions than that are ended within a day, PostgreSQL is asked about all of them. */
const MOST = 250_000;
const RELOAD_MS = 60_000;

/** Before the first look. */
const NOTHING_SEEN = '1:1:';

/** 16 bytes of the id, 4 of the end: a quarter of a million rows would keep the event loop busy for a second. */
const ENTRY_BYTES = 20;

/** What was committed since the snapshot $1, and the snapshot that this look is of: nothing falls between two looks. */
const NEWS = `
  select pg_current_snapshot()::text as snapshot, (
    select string_agg(uuid_send(id) || int4send(ceil(extract(epoch from expires_at))::int), ''::bytea) from (
      select id, expires_at from revoked_sessions
      where expires_at > now() and xid >= pg_snapshot_xmin($1::pg_snapshot) and not pg_visible_in_snapshot(xid, $1::pg_snapshot)
      limit $2) news) as ended`;

interface News {
  snapshot: string;
  ended: Buffer | null;
}

/**
 * Which sessions have ended before their time: every process hears of it from PostgreSQL within half a second and remembers it
 * until the session would have expired. So a store that comes back with an old value (a failover, an older dump) revives nothing.
 */
@Injectable()
export class Revocations implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Revocations.name);
  private readonly connection: LoneConnection;
  /** By their id: when they would have expired, in seconds since 1970. */
  private readonly ended = new Map<string, number>();
  private seen = NOTHING_SEEN;
  private heardAt = -Infinity;
  private reloadAt = 0;
  private timer?: NodeJS.Timeout;
  private listening?: Promise<void>;
  private stopped = false;

  constructor(
    @Inject(DATABASE_TARGET) target: DatabaseTarget,
    @Inject(BACKGROUND) private readonly background: boolean,
  ) {
    this.connection = new LoneConnection(target, HEARS_OF_SESSIONS);
  }

  /** Nothing is served before the first look. */
  async onApplicationBootstrap(): Promise<void> {
    if (this.background) await this.turn();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.listening;
    await this.connection.end();
  }

  /** Whether this process knows of all sessions that have ended. If not, only PostgreSQL may be believed. */
  get areHeard(): boolean {
    return performance.now() - this.heardAt < LONGEST_SILENCE_MS;
  }

  has(sessionId: string): boolean {
    return this.ended.has(sessionId);
  }

  /** @param expiresAt in seconds since 1970 */
  add(sessionId: string, expiresAt: number): void {
    this.ended.set(sessionId, expiresAt);
  }

  /** One look. @throws DatabaseUnavailable */
  async listen(): Promise<void> {
    const started = performance.now();
    if (started < this.reloadAt) return;
    const [news] = await this.connection.read<News>(SYSTEM, NEWS, [this.seen, MOST + 1]);
    this.remember(news!.ended ?? Buffer.alloc(0));
    if (this.ended.size > MOST) this.forgetExpired();
    if (this.ended.size > MOST) return this.giveUp();
    this.seen = news!.snapshot;
    this.heardAt = started;
  }

  private remember(entries: Buffer): void {
    for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
      this.ended.set(uuidOf(entries.toString('hex', at, at + 16)), entries.readInt32BE(at + 16));
    }
  }

  private giveUp(): void {
    this.logger.warn(`More than ${MOST} sessions have been ended within a day: PostgreSQL is asked about each request.`);
    this.ended.clear();
    this.seen = NOTHING_SEEN;
    this.heardAt = -Infinity;
    this.reloadAt = performance.now() + RELOAD_MS;
  }

  private forgetExpired(): void {
    const now = Date.now() / 1000;
    for (const [id, expiresAt] of this.ended) if (expiresAt < now) this.ended.delete(id);
  }

  private async turn(): Promise<void> {
    this.listening = this.listen().catch((error: unknown) => {
      this.seen = NOTHING_SEEN; // it may be another server that answers next, with other transactions
      this.logger.debug(`No news of ended sessions: ${error instanceof Error ? error.name : 'failure'}`);
    });
    await this.listening;
    if (!this.stopped) this.timer = setTimeout(() => void this.turn(), POLL_MS);
  }
}

function uuidOf(hex: string): string {
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
