import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, QueryResultRow } from 'pg';
import { ADVISORY_LOCKS } from '../../persistence/advisory-locks';
import type { DatabaseTarget } from '../../persistence/connection';
import { openConnection } from '../../persistence/open-connection';
import { asOwner } from './as-owner';
import { checkKeys, STORE_ROW, type CheckRow } from './keys-check';
import { INDEX_VERSION, KEYS_REMEMBERED_MS, type LearnerKeys } from './learner-keys';
import { columnsToSeal, SealedTables, versionOf, type ColumnToSeal } from './sealed-tables';
import type { WrappedKey } from './key-store';

/** What is put into the store is read by every process that has forgotten what it knew: by each one's own clock, whatever time that shows. */
const KNOWN_EVERYWHERE_MS = KEYS_REMEMBERED_MS + 2000;
const NOT_YET = Number.MAX_SAFE_INTEGER;
/** A transaction that has sealed something writes within so long: no statement waits longer, and no transaction idles longer (connection.ts). */
const LONGEST_UNTIL_WRITTEN_MS = 16_000;
const LOOK_EVERY_MS = 200;

export interface KeyStatus {
  currentMaster: string;
  learners: number;
  /** Keys wrapped by each master key. */
  wrappedBy: Record<string, number>;
  /** Learners whose data is just sealed anew. */
  rotating: number;
  columns: { column: string; sealed: number; readable: number }[];
}

/** What of the learner $1 is sealed with a key before $2. */
const older = (column: string) => `user_id = $1 and ${column}_sealed is not null and ${versionOf(column)} < $2`;

/** Sees to the keys, one command at a time. Each may be interrupted, and goes on when it is run again. */
export class KeyMaintenance {
  private constructor(
    private readonly client: Client,
    private readonly keys: LearnerKeys,
    private readonly columns: readonly ColumnToSeal[],
    private readonly tables: SealedTables,
  ) {}

  /** @param tell hears how many rows were sealed. @throws ConfigurationError with keys that are not this database's */
  static async run<T>(
    target: DatabaseTarget,
    keys: LearnerKeys,
    work: (maintenance: KeyMaintenance) => Promise<T>,
    tell: (sealed: number) => void = () => undefined,
  ): Promise<T> {
    const client = await openConnection(target, { patient: true });
    try {
      await client.query(`select pg_advisory_lock(${ADVISORY_LOCKS.keys})`);
      await checkKeys(keys, (sql, values) => ask<CheckRow>(client, sql, values));
      const columns = await asOwner(client, () => columnsToSeal(client));
      return await work(new KeyMaintenance(client, keys, columns, new SealedTables(client, keys, tell)));
    } finally {
      await client.end();
    }
  }

  async status(): Promise<KeyStatus> {
    const wrappedBy: Record<string, number> = {};
    let [learners, rotating] = [0, 0];
    for await (const [, keys] of this.all()) {
      learners++;
      if (keys.length > 2) rotating++;
      for (const { master } of keys) wrappedBy[master] = (wrappedBy[master] ?? 0) + 1;
    }
    const columns: KeyStatus['columns'] = [];
    for (const { table, column, readable } of this.columns) {
      const [counts] = await ask<{ sealed: number; readable: number }>(
        this.client,
        `select count(${column}_sealed)::int as sealed, count(${readable})::int as readable from ${table}`,
      );
      columns.push({ column: `${table}.${column}`, ...counts! });
    }
    return { currentMaster: this.keys.master.currentId, learners, wrappedBy, rotating, columns };
  }

  /** How many values are readable still. */
  async readable(): Promise<number> {
    return (await this.status()).columns.reduce((sum, { readable }) => sum + readable, 0);
  }

  /** Seals what was written before there were keys. @returns how many values */
  async seal(): Promise<number> {
    let sealed = 0;
    for (const each of this.columns) sealed += await this.tables.seal(each, `${each.readable} is not null`);
    return sealed;
  }

  /** Wraps all keys by the current master key; then the lines of older ones may go. @returns how many learners' */
  async rotateMaster(): Promise<number> {
    const { currentId } = this.keys.master;
    let count = 0;
    for await (const userId of this.keys.store.list()) {
      const changed = await this.change(userId, async (keys) =>
        keys.every(({ master }) => master === currentId)
          ? undefined
          : Promise.all(keys.map((key) => this.keys.rewrap(userId, key))),
      );
      if (changed) count++;
    }
    await ask(this.client, 'delete from master_keys where id <> all($1)', [[currentId, STORE_ROW]]);
    return count;
  }

  /**
   * Gives learners a new key and seals all of their data with it; then the old one is destroyed. It takes forty seconds
   * more than the sealing: every process has to know the new key before any uses it, and have ended what it does with the old one.
   * @param only one learner; by default all
   * @returns how many values were sealed, and how many cannot be opened: their learners keep the old key as well
   */
  async rotate(only?: string): Promise<{ sealed: number; unreadable: number }> {
    const newest = new Map<string, number>();
    for await (const [userId] of this.all(only)) {
      const key = await this.nextKey(userId);
      if (key) newest.set(userId, key.version);
    }
    if (newest.size === 0) return { sealed: 0, unreadable: 0 };
    await sleep(KNOWN_EVERYWHERE_MS);
    for (const userId of newest.keys()) {
      await this.change(userId, async (keys) => keys.map(({ activeFrom: _notYet, ...key }) => key));
    }
    await sleep(KNOWN_EVERYWHERE_MS);
    let sealed = 0;
    for (const [userId, version] of newest) sealed += await this.sealAnew(userId, version);
    await sleep(LONGEST_UNTIL_WRITTEN_MS);
    await this.untilWritersEnd();
    let unreadable = 0;
    for (const [userId, version] of newest) {
      sealed += await this.sealAnew(userId, version); // what was under way meanwhile
      const left = await this.countOlder(userId, version);
      unreadable += left;
      if (left === 0) await this.dropOlder(userId, version);
    }
    return { sealed, unreadable };
  }

  /** Every transaction that has written by now: what it has sealed nobody else sees before. */
  private async untilWritersEnd(): Promise<void> {
    const [now] = await ask<{ xid: string }>(this.client, 'select pg_snapshot_xmax(pg_current_snapshot())::text as xid');
    const ended = 'select pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 as "haveEnded"';
    while (!(await ask<{ haveEnded: boolean }>(this.client, ended, [now!.xid]))[0]!.haveEnded) await sleep(LOOK_EVERY_MS);
  }

  private async dropOlder(userId: string, version: number): Promise<void> {
    await this.change(userId, async (keys) => keys.filter((key) => key.version === INDEX_VERSION || key.version >= version));
  }

  private async countOlder(userId: string, version: number): Promise<number> {
    let count = 0;
    for (const { table, column } of this.columns) {
      const [row] = await ask<{ count: number }>(
        this.client,
        `select count(*)::int as count from ${table} where ${older(column)}`,
        [userId, version],
      );
      count += row!.count;
    }
    return count;
  }

  /** Where a rotation was interrupted, its key is there. */
  private async nextKey(userId: string): Promise<WrappedKey | undefined> {
    const changed = await this.change(userId, async (keys) => {
      const versions = keys.map(({ version }) => version).filter((version) => version !== INDEX_VERSION);
      if (versions.length > 1) return keys;
      return [...keys, await this.keys.make(userId, versions[0]! + 1, NOT_YET)];
    });
    this.keys.forget(userId);
    return changed?.reduce((one, other) => (other.version > one.version ? other : one));
  }

  /**
   * Puts other keys in the place of a learner's. The learner cannot be deleted meanwhile: what is destroyed with the learner would
   * come back. Whoever is just registering, or has gone, is left alone.
   * @returns the keys that are there now; undefined: nothing was changed
   */
  private async change(
    userId: string,
    to: (keys: WrappedKey[]) => Promise<WrappedKey[] | undefined>,
  ): Promise<WrappedKey[] | undefined> {
    return asOwner(this.client, async () => {
      const users = await this.client.query('select from users where id = $1 for key share', [userId]);
      const keys = users.rowCount === 1 ? await this.keys.store.get(userId) : undefined;
      const changed = keys && (await to(keys));
      if (changed && changed !== keys) await this.keys.store.replace(userId, changed);
      return changed;
    });
  }

  private async sealAnew(userId: string, version: number): Promise<number> {
    this.keys.forget(userId);
    let sealed = 0;
    for (const each of this.columns) sealed += await this.tables.seal(each, older(each.column), [userId, version]);
    return sealed;
  }

  private async *all(only?: string): AsyncGenerator<[userId: string, keys: WrappedKey[]]> {
    for await (const userId of only === undefined ? this.keys.store.list() : [only]) {
      const keys = await this.keys.store.get(userId);
      if (keys) yield [userId, keys];
    }
  }
}

async function ask<Row extends QueryResultRow>(client: Client, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
  return asOwner(client, async () => (await client.query<Row>(sql, [...values])).rows);
}
