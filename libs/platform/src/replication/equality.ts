import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { differencesFrom, LOCK_MS, NotYet, stateIn, takeSnapshot, whileNobodyWrites } from '../backup/marker';

const LOOK_AGAIN_MS = 2;
/** Commits that did not wait for the disk are sent with the next one that does; it need not wait for a synchronous standby. */
const FLUSH = `set synchronous_commit = local; select pg_logical_emit_message(true, 'studently', 'compared')`;
const FLUSHED = 'select pg_current_wal_flush_lsn()::text as lsn';
const HAS_REPLAYED = 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as there';

export interface Equality {
  /** The place of the WAL up to which both had everything. */
  lsn: string;
  tables: number;
  rows: number;
  /** In words; empty: both hold the same, row by row. */
  differences: string[];
}

/**
 * Compares the checksums of all tables on a primary and its standby at one LSN, while others write.
 *
 * Two servers have no common snapshot, and replay cannot be stopped at a place that is only known afterwards. So writers are held off for
 * a moment (a SHARE lock on every table, as for the marker of a backup). While the lock is held nothing can be committed to a table: the
 * primary tells how far its WAL goes (LSN), the standby replays up to it, and each of two sessions takes its snapshot, all within
 * `LOCK_MS`. Whatever else is replayed meanwhile touches no table, so both snapshots hold exactly what was committed up to this LSN.
 * Then writers go on, and the rows are counted in both snapshots, for as long as it takes.
 * @throws BackupFault `BACKUP_BUSY` if the standby is never that near
 */
export async function compareAtOneLsn(holder: Client, primary: Client, standby: Client): Promise<Equality> {
  const lsn = await whileNobodyWrites(holder, async () => {
    const deadline = performance.now() + LOCK_MS;
    await primary.query(`rollback; ${FLUSH}`);
    const { rows } = await primary.query<{ lsn: string }>(FLUSHED);
    await untilReplayed(standby, rows[0]!.lsn, deadline);
    await Promise.all([takeSnapshot(primary), takeSnapshot(standby)]);
    return rows[0]!.lsn;
  });
  const [here, there] = await Promise.all([stateIn(primary), stateIn(standby)]);
  const states = Object.values(here.tables);
  const rows = states.reduce((sum, state) => sum + state.rows, 0);
  return { lsn, tables: states.length, rows, differences: differencesFrom(here, there) };
}

/** @throws NotYet after the deadline */
async function untilReplayed(standby: Client, lsn: string, deadline: number): Promise<void> {
  for (;;) {
    const { rows } = await standby.query<{ there: boolean }>(HAS_REPLAYED, [lsn]);
    if (rows[0]!.there) return;
    if (performance.now() > deadline) throw new NotYet();
    await sleep(LOOK_AGAIN_MS);
  }
}
