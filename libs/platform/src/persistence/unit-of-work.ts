import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { MikroORM } from '@mikro-orm/postgresql';
import { BACKGROUND } from '../background';
import { isRetryable, translateDatabaseError } from '../errors/database-errors';
import { IdTaken } from '../errors/domain-error';
import type { DomainEvent } from '../events/domain-event';
import { EventConsumers } from '../events/event-consumers';
import { OutboxRelay } from '../events/outbox-relay';
import { contextOf, type Actor } from '../security/actor';
import { Written, type View } from '../view';
import { claimIdempotency, keepAnswer } from './idempotency';
import { encodeReadToken } from './read-token';
import { Transaction } from './transaction';

const ATTEMPTS = 5;

/** Writes the event down twice, for those who audit and for those who must act, and answers the transaction's id. */
const RECORD = `
  with audited as (
    insert into audit_events (actor_id, actor_role, learner_id, action, subject_id, changed_fields, request_id)
    values ($1, $2, $3, $4, $5, $6, $7)
  ), queued as (
    insert into outbox (topic, learner_id, payload) values ($8, $9, $10) returning id
  )
  select pg_current_xact_id()::text as xid, id as "messageId" from queued`;

interface Recorded {
  xid: string;
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

  constructor(
    private readonly orm: MikroORM,
    private readonly consumers: EventConsumers,
    private readonly outbox: OutboxRelay,
    @Inject(BACKGROUND) private readonly background: boolean,
  ) {}

  /**
   * Runs `work` as `actor`, flushes and commits. After a serialization failure or a deadlock, or when
   * somebody else has taken the id meanwhile, `work` runs again from the start (5 times at most), so it must
   * have no effect outside the transaction.
   * @throws DomainError what `work` throws, or what a violated constraint means
   */
  async run<T = void>(actor: Actor, work: (tx: Transaction) => Promise<View<T> | void>): Promise<Written<T>> {
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
    const tx = new Transaction(em, actor);
    let written: Written<T>;
    let recorded: Recorded;
    await em.begin();
    try {
      await tx.query(contextOf(actor));
      const firstAnswer = await claimIdempotency<T>(tx);
      if (firstAnswer) {
        await em.rollback();
        return firstAnswer;
      }
      const view = await work(tx);
      await em.flush();
      recorded = await this.record(tx);
      written = new Written<T>(view?.json ?? '', view?.etag, encodeReadToken(recorded.xid), tx.isExisting);
      await keepAnswer(tx, written);
      await em.commit();
    } catch (error) {
      await em.rollback().catch(() => undefined); // the connection may be gone; then the server has rolled back
      throw error;
    }
    if (tx.event && this.background) await this.announce(tx.event, recorded.messageId!);
    return written;
  }

  private async record(tx: Transaction): Promise<Recorded> {
    const { actor, event } = tx;
    if (!event) {
      if (!tx.isExisting) throw new Error('A command must record what it did.');
      const [row] = await tx.query<Recorded>('select pg_current_xact_id()::text as xid');
      return row!;
    }
    const [row] = await tx.query<Recorded>(RECORD, [
      actor.userId ?? null,
      actor.role,
      event.learnerId,
      event.topic,
      event.subjectId,
      `{${(event.changedFields ?? []).join(',')}}`,
      actor.requestId ?? null,
      event.topic,
      event.learnerId,
      JSON.stringify(event),
    ]);
    return row!;
  }

  /** Committed is committed: a consumer that fails now is called again by the relay. */
  private async announce(event: DomainEvent, messageId: string): Promise<void> {
    try {
      await this.consumers.deliver(event.topic, event);
      this.outbox.settle(messageId);
    } catch (error) {
      this.logger.warn(`${event.topic} is left to the relay: ${error instanceof Error ? error.name : 'failure'}`);
    }
  }
}
