import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Pool, type QueryConfig, type QueryResultRow } from 'pg';
import type { Counter } from 'prom-client';
import type { StatementWatch } from '../statements/statement-watch';
import { translateDatabaseError } from '../errors/database-errors';
import { connectionOptions, currently, type DatabaseTarget } from './connection';
import { Pipelined } from './pipelined';
import type { ReadPoint } from './read-points';

export const REPLICA_READS = 'studently_replica_reads_total';

/** A standby applies what it has received within a few ms; a read waits so long for it, and a standby that needs more is passed over for a while. */
const PATIENCE_MS = 20;
const BEHIND_MS = 100;

/** It opens a connection and a transaction within this, or it is away; one read a second finds out whether it is back. */
const READY_MS = 500;
const AWAY_MS = 1000;

/** A statement that has taken all its time would not be faster elsewhere. */
const TIME_IS_UP = '57014';
/** What it looked at was needed for what had to be replayed (a vacuum of the primary, without hot_standby_feedback). */
const CONFLICT = '40001';

/** A standby that answers queries. */
class Replica {
  private readonly logger = new Logger(Replica.name);
  private readonly pool: Pool;
  private readonly statements: Pipelined;
  private isAway = false;
  private passedOverUntil = 0;

  constructor(
    private readonly target: DatabaseTarget,
    poolSize: number,
    private readonly reads: Counter<'outcome'> | undefined,
    watch: StatementWatch | undefined,
  ) {
    this.pool = new Pool({ ...connectionOptions(target, poolSize), connectionTimeoutMillis: READY_MS });
    currently(this.pool, target);
    this.pool.on('connect', (connection) => {
      connection.on('error', () => undefined); // whoever waits for an answer is told
      watch?.watch(connection);
    });
    this.pool.on('error', () => undefined); // of an idle connection: the next read tells
    this.statements = new Pipelined(() => Promise.resolve(this.pool), true);
  }

  /** Whether to ask it. Of one that is away a single read finds out whether it is back. */
  get isWorthAsking(): boolean {
    const now = performance.now();
    if (now < this.passedOverUntil) return false;
    if (this.isAway) this.passedOverUntil = now + AWAY_MS;
    return true;
  }

  /** @returns undefined where the primary has to answer: this one is behind, or away */
  async read<Row extends QueryResultRow>(
    { lsn, timeline }: ReadPoint,
    opening: string,
    sql: string,
    values: readonly unknown[],
  ): Promise<Row[] | undefined> {
    const check = `select has_replayed('${lsn}', ${timeline}, '${PATIENCE_MS} ms') as it`;
    try {
      const rows = await this.statements.run<Row>(
        { text: `${opening}; ${check}`, query_timeout: READY_MS, isGood: ({ rows: [said] }) => (said as { it: boolean }).it },
        sql,
        values,
      );
      this.note(rows ? 'answered' : 'behind');
      return rows;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === TIME_IS_UP) throw translateDatabaseError(error);
      this.note(code === CONFLICT ? 'behind' : 'away', error as Error);
      return undefined;
    }
  }

  /** @throws if it does not answer */
  async ping(): Promise<void> {
    await this.pool.query({ text: 'select 1', query_timeout: READY_MS } as QueryConfig);
  }

  close(): Promise<void> {
    return this.pool.end();
  }

  private note(outcome: 'answered' | 'behind' | 'away', error?: Error): void {
    this.reads?.inc({ outcome });
    if (outcome !== 'answered') this.passedOverUntil = performance.now() + (outcome === 'behind' ? BEHIND_MS : AWAY_MS);
    const isAway = outcome === 'away';
    if (isAway === this.isAway) return;
    this.isAway = isAway;
    const { host } = new URL(this.target.url);
    if (isAway) this.logger.warn(`The replica at ${host} does not answer (${error!.name}): the primary does`);
    else this.logger.log(`The replica at ${host} is back`);
  }
}

/** The standbys of DATABASE_REPLICA_URLS, which answer in turn; without it, none. */
@Injectable()
export class Replicas implements OnApplicationShutdown {
  private readonly replicas: Replica[];
  private turn = 0;

  constructor(
    targets: readonly DatabaseTarget[] = [],
    poolSize = 1,
    private readonly reads?: Counter<'outcome'>,
    watch?: StatementWatch,
  ) {
    this.replicas = targets.map((target) => new Replica(target, poolSize, reads, watch));
  }

  /** The next that is worth asking. */
  next(): Replica | undefined {
    for (let tried = 0; tried < this.replicas.length; tried++) {
      const replica = this.replicas[this.turn++ % this.replicas.length]!;
      if (replica.isWorthAsking) return replica;
    }
    if (this.replicas.length > 0) this.reads?.inc({ outcome: 'passed-over' });
    return undefined;
  }

  get number(): number {
    return this.replicas.length;
  }

  /** @throws if one of them does not answer */
  async ping(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.ping()));
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.close()));
  }
}
