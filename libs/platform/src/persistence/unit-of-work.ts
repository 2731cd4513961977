import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { MikroORM } from '@mikro-orm/postgresql';
import { ChangedValues, hashedChanges } from '../audit/changed-values';
import { BACKGROUND } from '../process-kind';
import { isRetryable, translateDatabaseError } from '../errors/database-errors';
import { IdTaken } from '../errors/domain-error';
import type { DomainEvent } from '../events/domain-event';
import { EventConsumers } from '../events/event-consumers';
import { OutboxRelay } from '../events/outbox-relay';
import { FINISH, JobGone } from '../jobs/job';
import { JobRelay } from '../jobs/job-relay';
import { Jobs, type LeftJobs } from '../jobs/jobs';
import { NOTIFIER, type Notifier } from '../realtime/notifier';
import { contextOf, whoActs, type Actor } from '../security/actor';
import { LearnerKeys } from '../security/keys/learner-keys';
import { Written, type View } from '../view';
import { claimIdempotency, keepAnswer, keepsAnswer } from './idempotency';
import { LearnerLanes } from './learner-lanes';
import { encodeReadToken } from './read-token';
import { Transaction } from './transaction';

const ATTEMPTS = 5;

/** Writes the event down for those who audit, for those who must hear of it and as work to be done, and answers the transaction's id. */
const RECORD = `
  with audited as (
    insert into audit_events (actor_id, actor_role, on_behalf_of, learner_id, action, subject_id, changed_fields, request_id, changes)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  ), queued as (
    insert into outbox (topic, learner_id, payload) values ($10, $11, $12) returning id
  ), left_behind as (
    insert into jobs (job, learner_id, subject_id) select job, $11, subject from unnest($13::text[], $14::text[]) given (job, subject)
  )
  select pg_current_xact_id()::text as xid, current_timeline() as timeline, id as "messageId" from queued`;

interface Recorded {
  xid: string;
  timeline: number;
  /** Of the outbox row; undefined if nothing was recorded. */
  messageId?: string;
}

/**
 * One command, one transaction: rows, audit event, outbox message and idempotency key are committed
 * together or not at all.
 */
@Injectable()
export class UnitOfWork {
  private readonly logger = new Logger(UnitOfWork.name);
  private readonly values = new ChangedValues();
  private readonly lanes = new LearnerLanes();

  constructor(
    private readonly orm: MikroORM,
    private readonly consumers: EventConsumers,
    private readonly outbox: OutboxRelay,
    private readonly jobs: Jobs,
    private readonly jobRelay: JobRelay,
    private readonly keys: LearnerKeys,
    @Inject(NOTIFIER) private readonly notifier: Notifier,
    @Inject(BACKGROUND) private readonly background: boolean,
  ) {
    orm.em.getEventManager().registerSubscriber(this.values);
  }

  /**
   * Runs `work` as `actor`, flushes and commits. After a serialization failure or a deadlock, or when
   * somebody else has taken the id meanwhile, `work` runs again from the start (5 times at most), so it must
   * have no effect outside the transaction.
   * @throws DomainError what `work` throws, or what a violated constraint means
   */
  async run<T = void>(actor: Actor, work: (tx: Transaction) => Promise<View<T> | void>): Promise<Written<T>> {
    return this.lanes.run(actor, () => this.attempts(actor, work));
  }

  private async attempts<T>(actor: Actor, work: (tx: Transaction) => Promise<View<T> | void>): Promise<Written<T>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.attempt(actor, work);
      } catch (error) {
        const meaning = translateDatabaseError(error);
        // A constraint says that the id is taken: another command was faster. Whoever runs again finds what that one has
        // made, and whether it is the same.
        const overtaken = meaning instanceof IdTaken && meaning !== error;
        if (attempt === ATTEMPTS || !(isRetryable(error) || overtaken)) throw meaning;
        await sleep(Math.random() * 10 * 2 ** attempt);
      }
    }
  }

  private async attempt<T>(actor: Actor, work: (tx: Transaction) => Promise<View<T> | void>): Promise<Written<T>> {
    const em = this.orm.em.fork();
    const tx = new Transaction(em, actor, this.keys);
    let written: Written<T>;
    let recorded: Recorded;
    let left: LeftJobs | undefined;
    await em.begin();
    try {
      await tx.query(contextOf(actor));
      const firstAnswer = await claimIdempotency<T>(tx);
      if (firstAnswer) {
        await em.rollback();
        return firstAnswer;
      }
      await this.finishJob(tx);
      const view = await work(tx);
      await em.flush();
      left = tx.event && this.jobs.leftBy(tx.event);
      recorded = await this.record(tx, left, keepsAnswer(actor) ? 'query' : 'last');
      written = new Written<T>(view?.json ?? '', view?.etag, encodeReadToken(recorded.timeline, recorded.xid), tx.isExisting);
      await keepAnswer(tx, written);
      await em.commit();
    } catch (error) {
      await em.rollback().catch(() => undefined); // the connection may be gone; then the server has rolled back
      throw error;
    }
    if (actor.job) actor.job.isDone = true;
    if (tx.event && this.background) {
      this.jobRelay.wake(left!.jobs);
      await this.announce(tx.event, recorded);
    }
    return written;
  }

  /** The job ends with this transaction. Whoever else works on it waits here for its end, and finds nothing. */
  private async finishJob(tx: Transaction): Promise<void> {
    const { job } = tx.actor;
    if (job && (await tx.query(FINISH, [job.id])).length === 0) throw new JobGone();
  }

  private async record(tx: Transaction, left: LeftJobs | undefined, as: 'query' | 'last'): Promise<Recorded> {
    const { actor, event } = tx;
    if (!event) {
      if (!tx.isExisting) throw new Error('A command must record what it did.');
      const [row] = await tx[as]<Recorded>('select pg_current_xact_id()::text as xid, current_timeline() as timeline', []);
      return row!;
    }
    const [row] = await tx[as]<Recorded>(RECORD, [
      ...whoActs(actor),
      event.learnerId ?? null,
      event.topic,
      event.subjectId,
      `{${(event.changedFields ?? []).join(',')}}`,
      actor.requestId ?? null,
      await this.changes(tx),
      event.topic,
      event.learnerId ?? null,
      JSON.stringify(event),
      left!.jobs,
      left!.subjects,
    ]);
    return row!;
  }

  /** As JSON: what the entities of the command changed, in keyed hashes. Where the learner's key is out of reach there are the names alone. */
  private async changes({ em, event }: Transaction): Promise<string | null> {
    const changes = event?.learnerId && this.values.of(em);
    if (!changes) return null;
    const cipher = await this.keys.toSeal(event.learnerId).catch(() => undefined);
    return cipher ? JSON.stringify(hashedChanges(changes, cipher)) : null;
  }

  /** Committed is committed: a consumer that fails now is called again by the relay. */
  private async announce(event: DomainEvent, { xid, messageId }: Recorded): Promise<void> {
    try {
      await this.consumers.deliver(event.topic, event);
      this.outbox.settle(messageId!);
    } catch (error) {
      this.logger.warn(`${event.topic} is left to the relay: ${error instanceof Error ? error.name : 'failure'}`);
    }
    if (event.learnerId !== undefined) this.notifier.tell(event.learnerId, xid); // who hears it and reads finds no older view
  }
}
