import type { EntityManager } from '@mikro-orm/postgresql';
import { CompiledQuery, type Kysely } from 'kysely';
import type { DomainEvent } from '../events/domain-event';
import type { Actor } from '../security/actor';
import type { LearnerCipher } from '../security/keys/learner-cipher';
import type { LearnerKeys } from '../security/keys/learner-keys';
import { openSealedJson } from '../security/keys/sealed-json';
import { View } from '../view';
import type { ReadModel, ViewRow } from '../cache/read-model';
import { LAST } from './connection';

/** What a command's work may use: entities, the one event it records, and views of what it has written. */
export class Transaction {
  private recorded?: DomainEvent;
  private alreadyThere = false;

  constructor(
    readonly em: EntityManager,
    readonly actor: Actor,
    private readonly keys: LearnerKeys,
  ) {}

  /** Seals and opens what belongs to the learner. */
  cipher(userId: string): Promise<LearnerCipher> {
    return this.keys.toSeal(userId);
  }

  /** Writes the audit row and the outbox row of this command. Every command records exactly one event. */
  record(event: DomainEvent): void {
    if (this.recorded) throw new Error(`A command records one event: ${this.recorded.topic} is there already.`);
    this.recorded = event;
  }

  /** Nothing was written: an equal command made the resource before. */
  existed(): void {
    this.alreadyThere = true;
  }

  get event(): DomainEvent | undefined {
    return this.recorded;
  }

  get isExisting(): boolean {
    return this.alreadyThere;
  }

  /** The resource as a reader will see it after the commit; undefined if there is none. */
  async view<Params, T>(model: ReadModel<Params, T>, ownerId: string, params: Params): Promise<View<T> | undefined> {
    await this.em.flush();
    const [row] = await this.query<ViewRow>(model.sql, model.values(ownerId, params));
    return row && new View<T>(await openSealedJson(this.keys, row.json), row.etag);
  }

  /** The transaction's last statement, which is committed with it: whatever could fail has to be done before. */
  last<Row extends object>(sql: string, values: readonly unknown[]): Promise<Row[]> {
    return this.query<Row>(LAST + sql, values);
  }

  /** A statement in this transaction, with bound parameters $1, $2, … (the ORM's own `execute` would inline them). */
  async query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    const transaction = this.em.getTransactionContext<Kysely<unknown>>()!;
    return (await transaction.executeQuery<Row>(CompiledQuery.raw(sql, [...values]))).rows;
  }
}
