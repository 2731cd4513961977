import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { DATABASE_TARGET, type DatabaseTarget } from '../persistence/connection';
import { LoneConnection } from '../persistence/lone-connection';
import { SYSTEM } from '../security/actor';
import { NOTIFIER, type Notifier } from './notifier';

const LOOK_MS = 400;

/** What was committed since the snapshot $1, and the snapshot that this look is of: nothing falls between two looks. */
const NEWS = `
  with news as (
    select learner_id, xid from audit_events where xid >= pg_snapshot_xmax($1::pg_snapshot)
    union all
    select learner_id, xid from audit_events where xid = any (array(select pg_snapshot_xip($1::pg_snapshot)))
  )
  select pg_current_snapshot()::text as snapshot, n.learner_id as "learnerId", n.xid::text as xid
  from (select) always left join news n on n.learner_id is not null`;

/** Called with the transaction that brings news; without one, there may be news of any. */
export type HearNews = (xid?: string) => void;

/**
 * Tells who watches a learner when there are news: at once, by whoever has committed them and the Notifier, and at the next look
 * into PostgreSQL if that was lost. One look for all watchers of the process, on a connection beside the pool; none while nobody watches.
 */
@Injectable()
export class LearnerNews implements OnApplicationShutdown {
  private readonly logger = new Logger(LearnerNews.name);
  private readonly connection: LoneConnection;
  private readonly watchers = new Map<string, Set<HearNews>>();
  /** The last look; undefined: none yet, or none that others can follow. */
  private seen?: string;
  private timer?: NodeJS.Timeout;
  private looking?: Promise<void>;
  private stopped = false;

  constructor(
    @Inject(NOTIFIER) private readonly notifier: Notifier,
    @Inject(DATABASE_TARGET) target: DatabaseTarget,
  ) {
    this.connection = new LoneConnection(target, 'studently events');
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.looking;
    await this.connection.end();
  }

  /** What is committed from now on is heard. @returns ends it */
  watch(learnerId: string, hear: HearNews): () => void {
    let watchers = this.watchers.get(learnerId);
    if (!watchers) {
      this.watchers.set(learnerId, (watchers = new Set()));
      this.notifier.listen(learnerId, (xid) => this.tell(learnerId, xid));
    }
    watchers.add(hear);
    this.looking ??= this.look();
    return () => {
      watchers.delete(hear);
      if (watchers.size > 0 || this.watchers.get(learnerId) !== watchers) return;
      this.watchers.delete(learnerId);
      this.notifier.ignore(learnerId);
    };
  }

  private tell(learnerId: string, xid: string): void {
    for (const hear of this.watchers.get(learnerId) ?? []) hear(xid);
  }

  private async look(): Promise<void> {
    try {
      const rows = await this.connection.read<{ snapshot: string; learnerId: string | null; xid: string }>(SYSTEM, NEWS, [
        this.seen ?? null,
      ]);
      if (this.seen === undefined) this.tellAll();
      this.seen = rows[0]!.snapshot;
      for (const { learnerId, xid } of rows) if (learnerId !== null) this.tell(learnerId, xid);
    } catch (error) {
      this.seen = undefined; // it may be another server that answers next, with other transactions
      this.logger.debug(`No look for news: ${error instanceof Error ? error.name : 'failure'}`);
    }
    if (this.watchers.size > 0 && !this.stopped) {
      this.timer = setTimeout(() => void (this.looking = this.look()), LOOK_MS);
    } else {
      this.seen = undefined;
      this.looking = undefined;
      await this.connection.end();
    }
  }

  private tellAll(): void {
    for (const watchers of this.watchers.values()) for (const hear of watchers) hear();
  }
}
