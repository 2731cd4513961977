import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, QueryResult } from 'pg';
import { asOwner } from '../security/keys/as-owner';
import type { Backfill } from './migration-files';
import { isBusy, MigrationStopped, pauseBefore, transactionOf, type Haste, type Tell } from './script-runner';

/** So far a replica may be behind before we wait for it: one segment of WAL. */
const MOST_BEHIND_BYTES = 16 * 1024 * 1024;
const REPLICA_POLL_MS = 200;

/** Rows of a batch are locked until its end, so it has to be short: its size follows from how long the one before has taken. */
const [SHORT_MS, LONG_MS] = [25, 60];
const [FIRST_ROWS, MOST_ROWS] = [200, 5000];
/** A batch of few rows that still cannot be done after so many attempts, a minute or so, will not be. */
const MOST_MISSES = 40;

/** Rows come in behind a pass, but as many as it has brought in order do not come in again and again. */
const MOST_IN_VAIN = 3;

/** The same as when rows are sealed: what it changes no reader could see, so versions and times of change stay (0011, 0019). */
const HIDDEN = `set local app.sealing = 'on'`;
const CHANGES = ['INSERT', 'UPDATE', 'DELETE', 'MERGE'];

/** Nobody else may see how far a replica is than who may read all statistics (deploy/postgres/logins.sh). */
const SLOWEST_REPLICA = `
  select application_name as name, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 as bytes
  from pg_stat_replication where replay_lsn is not null order by 2 desc limit 1`;

/** How far a backfill is; kept in the database, in the transaction of the batch. */
export interface BackfillState {
  /** The keys of the last row that was looked at; undefined: none yet. */
  readonly cursor?: readonly string[];
  /** Rows changed so far, without those of a batch after which it was killed. */
  readonly rows: number;
}

export interface BackfillProgress {
  readonly rows: number;
  /** These, and what was left when this run began. */
  readonly of: number;
}

/** Rows that the new schema wants something of, which they do not have yet. */
export async function rowsLeft(client: Client, { left }: Backfill): Promise<number> {
  const { rows } = await asOwner(client, () => client.query<Record<string, string>>(left));
  return Number(Object.values(rows[0]!)[0]);
}

/**
 * Goes through a table by its key, batch after batch, until its own query says that nothing is left. What comes in behind it is found in
 * another pass. Killed at any moment and run again, it goes on where it was.
 */
export class BackfillRunner {
  private size = FIRST_ROWS;
  /** Batches one after the other that were taken back. */
  private misses = 0;

  /** @param note SQL that keeps a state */
  constructor(
    private readonly client: Client,
    private readonly backfill: Backfill,
    private readonly haste: Haste,
    private readonly note: (state: BackfillState) => string,
    private readonly tell: Tell,
    private readonly progress: (progress: BackfillProgress) => void,
  ) {}

  /** @returns how many rows it has changed. @throws MigrationStopped `BACKFILL_UNFINISHED`, `MIGRATION_LOCKED` */
  async run(from: BackfillState): Promise<number> {
    let state = from;
    let left = await rowsLeft(this.client, this.backfill);
    for (let [of, inVain] = [from.rows + left, 0]; left > 0;) {
      state = { rows: await this.pass(state, of) };
      const still = await rowsLeft(this.client, this.backfill);
      inVain = still < left ? 0 : inVain + 1;
      if (inVain === MOST_IN_VAIN) throw this.unfinished(still);
      left = still;
    }
    return state.rows - from.rows;
  }

  /** From where it was to the end of the table. @returns the rows changed so far, in this and in earlier passes */
  private async pass(from: BackfillState, of: number): Promise<number> {
    let state = from;
    for (;;) {
      await this.letReplicasCatchUp();
      const until = await this.endOfBatch(state.cursor);
      if (!until) break;
      const changed = await this.batch(state, until);
      if (changed === undefined) continue;
      state = { cursor: until, rows: state.rows + changed };
      this.progress({ rows: state.rows, of: Math.max(of, state.rows) });
    }
    await this.client.query(this.note({ rows: state.rows }));
    return state.rows;
  }

  private async endOfBatch(after: readonly string[] | undefined): Promise<string[] | undefined> {
    const { table, keys } = this.backfill;
    const columns = keys.join(', ');
    const where = after ? `where (${columns}) > (${keys.map((_, index) => `$${index + 2}`).join(', ')})` : '';
    const { rows } = await asOwner(this.client, () =>
      this.client.query<Record<string, string>>(
        `select ${keys.map((key) => `${key}::text`).join(', ')} from (
           select ${columns} from ${table} ${where} order by ${columns} limit $1
         ) batch order by ${keys.map((key) => `batch.${key} desc`).join(', ')} limit 1`,
        [this.size, ...(after ?? [])],
      ),
    );
    return rows[0] && Object.values(rows[0]);
  }

  /** @returns how many rows it has changed; undefined: it was in the way of others and was taken back, next time with fewer */
  private async batch(state: BackfillState, until: string[]): Promise<number | undefined> {
    const statements = [HIDDEN, this.statementFor(state.cursor, until)];
    const transaction = transactionOf(statements, this.haste, this.note({ cursor: until, rows: state.rows }));
    const started = performance.now();
    const changed = await this.attempt(transaction);
    const took = performance.now() - started;
    if (changed === undefined || took > LONG_MS) this.size = Math.max(1, this.size >> 1);
    else if (took < SHORT_MS) this.size = Math.min(MOST_ROWS, this.size * 2);
    return changed;
  }

  private statementFor(after: readonly string[] | undefined, until: readonly string[]): string {
    const { table, keys, statement } = this.backfill;
    const columns = `(${keys.map((key) => `${table}.${key}`).join(', ')})`;
    const row = (values: readonly string[]) => `(${values.map((value) => this.client.escapeLiteral(value)).join(', ')})`;
    const condition = `(${after ? `${columns} > ${row(after)} and ` : ''}${columns} <= ${row(until)})`;
    return statement.replaceAll('{batch}', () => condition);
  }

  private async attempt(transaction: string): Promise<number | undefined> {
    try {
      const results = (await this.client.query(transaction)) as unknown as QueryResult[];
      this.misses = 0;
      return results.slice(0, -2).findLast(({ command }) => CHANGES.includes(command))?.rowCount ?? 0; // then the note, and commit
    } catch (error) {
      await this.client.query('rollback').catch(() => undefined);
      if (!isBusy(error)) throw error;
      this.misses += 1;
      if (this.misses > MOST_MISSES) throw this.lockedOut();
      await sleep(pauseBefore(this.misses));
      return undefined;
    }
  }

  private async letReplicasCatchUp(): Promise<void> {
    for (let isTold = false; ; isTold = true) {
      const { rows } = await this.client.query<{ name: string; bytes: number }>(SLOWEST_REPLICA);
      const [slowest] = rows;
      if (!slowest || slowest.bytes <= MOST_BEHIND_BYTES) return;
      if (!isTold) this.tell(`waiting for ${slowest.name}, which is ${Math.round(slowest.bytes / 1024 / 1024)} MB behind`);
      await sleep(REPLICA_POLL_MS);
    }
  }

  private lockedOut(): MigrationStopped {
    const { file, line } = this.backfill;
    return new MigrationStopped(
      'MIGRATION_LOCKED',
      `${file}:${line} was in the way of others ${this.misses} times, with ${this.size} rows at last. What was done stays done: run it again when there is less to do.`,
    );
  }

  private unfinished(left: number): MigrationStopped {
    const { file, line } = this.backfill;
    return new MigrationStopped(
      'BACKFILL_UNFINISHED',
      `${file}:${line} has gone through all of ${this.backfill.table}, and its own count says that ${left} are left. Mend the one or the other.`,
    );
  }
}
