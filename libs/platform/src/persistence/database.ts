import type { Duplex } from 'node:stream';
import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { MikroORM } from '@mikro-orm/postgresql';
import type { Pool, PoolClient, QueryResultRow } from 'pg';
import { translateDatabaseError } from '../errors/database-errors';
import { contextOf, type Actor } from '../security/actor';
import { DATABASE_TARGET, type DatabaseTarget } from './connection';

/** The read side's way to PostgreSQL: plain SQL in a read-only transaction that acts for somebody. */
@Injectable()
export class Database implements BeforeApplicationShutdown {
  /** Of statements, by their text. There are as many as the code has: values are never part of the text. */
  private readonly names = new Map<string, string>();

  constructor(
    private readonly orm: MikroORM,
    @Inject(DATABASE_TARGET) private readonly target: DatabaseTarget,
  ) {}

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
   * @throws DatabaseUnavailable when the database is down or overloaded
   */
  async read<Row extends QueryResultRow>(actor: Actor, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.transaction(`begin read only; ${contextOf(actor)}`, sql, values);
  }

  /** The same for a single statement that also writes, where no entity and no audit event is concerned (the relay). */
  async write<Row extends QueryResultRow>(actor: Actor, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.transaction(`begin; ${contextOf(actor)}`, sql, values);
  }

  /** Each connection plans a statement once, where it is its own: PGlite's share one session. */
  private nameOf(sql: string): string | undefined {
    if (this.target.embedded) return undefined;
    let name = this.names.get(sql);
    if (name === undefined) this.names.set(sql, (name = `studently_${this.names.size}`));
    return name;
  }

  private async transaction<Row extends QueryResultRow>(
    begin: string,
    sql: string,
    values: readonly unknown[],
  ): Promise<Row[]> {
    let client: PoolClient | undefined;
    let broken: Error | undefined;
    try {
      client = await (await this.pool()).connect();
      const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection;
      stream.cork(); // three messages, one system call
      const answers = Promise.allSettled([
        client.query(begin),
        client.query<Row>({ name: this.nameOf(sql), text: sql, values: [...values] }),
        client.query('commit'),
      ]);
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
      throw translateDatabaseError(error);
    } finally {
      client?.release(broken);
    }
  }
}
