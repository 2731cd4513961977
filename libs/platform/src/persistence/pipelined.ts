import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Logger } from '@nestjs/common';
import type { Pool, PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';

/** A prepared statement is not there, or there already: another connection is behind this one than before. */
const NOT_KEPT = new Set(['26000', '42P05']);

/** What opens a transaction; what the last of its statements answers may say that the rest counts for nothing. */
export interface Opening {
  text: string;
  /** No healthy server takes longer for it. */
  query_timeout?: number;
  isGood?: (answer: QueryResult) => boolean;
}

/** Single statements on a pool, each in a transaction of its own: in one round trip, as begin, statement and commit are pipelined. */
export class Pipelined {
  private readonly logger = new Logger(Pipelined.name);
  /** Of statements, by their text. There are as many as the code has: values are never part of the text. */
  private readonly names = new Map<string, string>();

  /** @param naming whether statements are prepared: PGlite's connections share one session */
  constructor(
    private readonly pool: () => Promise<Pool>,
    private naming: boolean,
  ) {}

  /**
   * Where names are not kept there are none from now on. The transaction has failed before its statement ran, so it may run again.
   * @returns undefined if the opening was not good
   */
  async run<Row extends QueryResultRow>(
    opening: Opening,
    text: string,
    values: readonly unknown[],
  ): Promise<Row[] | undefined> {
    const statement = { text, values: [...values] };
    const name = this.nameOf(text);
    return this.attempt<Row>(opening, { ...statement, name }).catch((error: unknown) => {
      if (name === undefined || !isNotKept(error)) throw error;
      this.stopNaming();
      return this.attempt<Row>(opening, statement);
    });
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

  private stopNaming(): void {
    if (!this.naming) return;
    this.naming = false;
    this.logger.warn(
      'A pooler keeps no prepared statements: reads are planned each time (docs/handbook.md, "Behind PgBouncer").',
    );
  }

  private async attempt<Row extends QueryResultRow>(
    { isGood, ...begin }: Opening,
    statement: QueryConfig,
  ): Promise<Row[] | undefined> {
    let client: PoolClient | undefined;
    let broken: Error | undefined;
    try {
      client = await (await this.pool()).connect();
      const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection;
      stream.cork(); // three messages, one system call
      const opening = client.query(begin.query_timeout === undefined ? begin.text : (begin as QueryConfig));
      const answers = Promise.allSettled([opening, client.query<Row>(statement), client.query('commit')]);
      stream.uncork();
      opening.catch((error: unknown) => !isOwn(error) && stream.destroy()); // who does not open answers nothing else
      const [began, answered, committed] = await answers;
      for (const result of [began, answered, committed]) {
        if (result.status === 'rejected') throw result.reason;
      }
      // A transaction that failed still "succeeds" to commit, with the tag ROLLBACK.
      if (committed.status === 'fulfilled' && committed.value.command !== 'COMMIT') throw new Error('not committed');
      if (isGood && !isGood(lastOf((began as PromiseFulfilledResult<QueryResult | QueryResult[]>).value))) return undefined;
      return (answered as PromiseFulfilledResult<{ rows: Row[] }>).value.rows;
    } catch (error) {
      // The server's own errors leave the connection usable (the commit ended the transaction); others do not.
      if (!isOwn(error)) broken = error as Error;
      throw error;
    } finally {
      client?.release(broken);
    }
  }
}

/** Several statements in one text have several answers. */
const lastOf = (answer: QueryResult | QueryResult[]): QueryResult => (Array.isArray(answer) ? answer.at(-1)! : answer);

/** An error that the server has told. */
const isOwn = (error: unknown): boolean => error instanceof Error && 'severity' in error;

const isNotKept = (error: unknown): boolean => error instanceof Error && 'code' in error && NOT_KEPT.has(error.code as string);
