import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Inject, Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { MikroORM } from '@mikro-orm/postgresql';
import type { Pool, PoolClient, QueryConfig, QueryResultRow } from 'pg';
import { translateDatabaseError } from '../errors/database-errors';
import { contextOf, type Actor } from '../security/actor';
import { DATABASE_TARGET, type DatabaseTarget } from './connection';

/** A prepared statement is not there, or there already: another connection is behind this one than before. */
const NOT_KEPT = new Set(['26000', '42P05']);

/** The read side's way to PostgreSQL: plain SQL in a read-only transaction that acts for somebody. */
@Injectable()
export class Database implements BeforeApplicationShutdown {
  private readonly logger = new Logger(Database.name);
  /** Of statements, by their text. There are as many as the code has: values are never part of the text. */
  private readonly names = new Map<string, string>();
  /** PGlite's connections share one session. */
  private naming: boolean;

  constructor(
    private readonly orm: MikroORM,
    @Inject(DATABASE_TARGET) target: DatabaseTarget,
  ) {
    this.naming = !target.embedded;
  }

  /** Kysely ends only a pool that it has used itself: a process that has only read would wait until its connections are idle for long. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.orm.em
      .getConnection()
      .execute('select 1')
      .catch(() => undefined);
  }

  /** The pool that commands and queries share. */
  async pool(): Promise<Pool> {
    return this.orm.em.getConnection().getNativeClient();
  }

  /**
   * Runs one statement as `actor` sees the database: in one round trip, as begin, query and commit are pipelined.
   * @param setting more `set local` of the transaction
   * @throws DatabaseUnavailable when the database is down or overloaded
   */
  async read<Row extends QueryResultRow>(
    actor: Actor,
    sql: string,
    values: readonly unknown[] = [],
    setting?: string,
  ): Promise<Row[]> {
    return this.transaction(opening('begin read only', actor, setting), sql, values);
  }

  /** The same for a single statement that also writes, where no entity and no audit event is concerned (the relay). */
  async write<Row extends QueryResultRow>(
    actor: Actor,
    sql: string,
    values: readonly unknown[] = [],
    setting?: string,
  ): Promise<Row[]> {
    return this.transaction(opening('begin', actor, setting), sql, values);
  }

  /**
   * Each connection plans a statement once. The name comes from the text alone: behind a pooler other processes have named statements
   * on the same connection, and a name must never be another statement than here.
   */
  private nameOf(sql: string): string | undefined {
    if (!this.naming) return undefined;
    let name = this.names.get(sql);
    if (name === undefined) {
      name = `studently_${createHash('sha256').update(sql).digest('hex').slice(0, 32)}`;
      this.names.set(sql, name);
    }
    return name;
  }

  /** Where names are not kept there are none from now on. The transaction has failed before its statement ran, so it may run again. */
  private async transaction<Row extends QueryResultRow>(
    begin: string,
    text: string,
    values: readonly unknown[],
  ): Promise<Row[]> {
    const statement = { text, values: [...values] };
    const name = this.nameOf(text);
    try {
      return await this.attempt<Row>(begin, { ...statement, name }).catch((error: unknown) => {
        if (name === undefined || !isNotKept(error)) throw error;
        this.stopNaming();
        return this.attempt<Row>(begin, statement);
      });
    } catch (error) {
      throw translateDatabaseError(error);
    }
  }

  private stopNaming(): void {
    if (!this.naming) return;
    this.naming = false;
    this.logger.warn(
      'A pooler keeps no prepared statements: reads are planned each time (docs/handbook.md, "Behind PgBouncer").',
    );
  }

  private async attempt<Row extends QueryResultRow>(begin: string, statement: QueryConfig): Promise<Row[]> {
    let client: PoolClient | undefined;
    let broken: Error | undefined;
    try {
      client = await (await this.pool()).connect();
      const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection;
      stream.cork(); // three messages, one system call
      const answers = Promise.allSettled([client.query(begin), client.query<Row>(statement), client.query('commit')]);
      stream.uncork();
      const [began, answered, committed] = await answers;
      for (const result of [began, answered, committed]) {
        if (result.status === 'rejected') throw result.reason;
      }
      // A transaction that failed still "succeeds" to commit, with the tag ROLLBACK.
      if (committed.status === 'fulfilled' && committed.value.command !== 'COMMIT') throw new Error('not committed');
      return (answered as PromiseFulfilledResult<{ rows: Row[] }>).value.rows;
    } catch (error) {
      // The server's own errors leave the connection usable (the commit ended the transaction); others do not.
      if (!(error instanceof Error && 'severity' in error)) broken = error as Error;
      throw error;
    } finally {
      client?.release(broken);
    }
  }
}

const opening = (begin: string, actor: Actor, setting: string | undefined): string =>
  [begin, contextOf(actor), ...(setting === undefined ? [] : [setting])].join('; ');

const isNotKept = (error: unknown): boolean => error instanceof Error && 'code' in error && NOT_KEPT.has(error.code as string);
