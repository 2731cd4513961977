import { setTimeout as sleep } from 'node:timers/promises';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Client } from 'pg';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { BackupFault } from './backup-fault';

/** What the database held at one exact place of its WAL: a restored copy that stands there must hold the same. */
export interface Marker {
  /** ISO 8601, UTC. */
  at: string;
  /** The transaction that ends there. Everything that was committed before it counts, and nothing after it. */
  xid: string;
  lsn: string;
  /** The latest batch of the audit log. */
  auditHead: { seq: string; head: string } | null;
  tables: Record<string, TableState>;
}

/** What can be compared. */
export type State = Pick<Marker, 'auditHead' | 'tables'>;

export interface TableState {
  rows: number;
  /** Of all rows in any order. */
  checksum: string;
}

const AS_OWNER = 'set local role studently_owner';
const SNAPSHOT = 'begin isolation level repeatable read read only';
const LOCKED = `
  select coalesce(string_agg(c.oid::regclass::text, ', '), '') as names from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and n.nspname = 'public' and has_table_privilege(c.oid, 'update')`;
const COUNTED = `
  select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'r' and n.nspname = 'public' and has_table_privilege(c.oid, 'select') order by 1`;
const HEAD = `select seq::text as seq, encode(head, 'hex') as head from audit_batches b order by b.seq desc limit 1`;
/** The sum of 64 bits of each row's MD5: against damage and mistakes, not against forgery (the audit chain is). */
const stateOf = (table: string) => `
  select count(*)::float8 as rows,
    coalesce(sum(('x' || left(md5(record_send(the_row)), 16))::bit(64)::bigint::numeric), 0)::text as checksum from only ${table} the_row`;

/** Writers wait no longer than this for a marker, and it is tried again. */
export const LOCK_MS = 150;
/** An autovacuum that is in the way gives up when somebody has waited for deadlock_timeout, 1 s: by a lock that writers do not wait behind. */
const PATIENT_LOCK_MS = 1500;
const [PATIENT_FROM, ATTEMPTS] = [20, 40];

type Found = Pick<Marker, 'at' | 'xid' | 'lsn'>;

/**
 * Records the state at a place of the WAL that recovery can stop at: its transaction holds off writers, for some milliseconds, until the
 * snapshot of the counting one is taken, so that what is visible to it is exactly what was committed before.
 * @throws BackupFault if writers leave no such moment within some 20 s
 */
export async function recordMarker(target: DatabaseTarget): Promise<Marker> {
  const clients: Client[] = [];
  try {
    for (let each = 0; each < 2; each++) clients.push(await openConnection(target, { patient: true }));
    const [holder, reader] = clients as [Client, Client];
    const found = await atOneMoment(holder, reader);
    return { ...found, ...(await stateIn(reader)) };
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

function atOneMoment(holder: Client, reader: Client): Promise<Found> {
  return whileNobodyWrites(holder, async () => {
    await takeSnapshot(reader);
    const { rows } = await holder.query<Found>(
      `select pg_current_xact_id()::text as xid, pg_current_wal_insert_lsn()::text as lsn,
         to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`,
    );
    return rows[0]!;
  });
}

/**
 * Looks while nothing is written to any table: what was begun has ended, and nobody else begins until `look` has. For writers that is a
 * wait of some milliseconds, so `look` may take `LOCK_MS` at most; where it throws `NotYet`, or somebody is in the way, it is tried again.
 * @throws BackupFault if there is no such moment within some 20 s
 */
export async function whileNobodyWrites<T>(holder: Client, look: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    await holder.query(`begin; ${AS_OWNER}; set local statement_timeout = ${PATIENT_LOCK_MS}`);
    try {
      const { names } = (await holder.query<{ names: string }>(LOCKED)).rows[0]!;
      if (attempt > PATIENT_FROM) await holder.query(`lock table ${names} in share update exclusive mode`);
      await holder.query(`set local statement_timeout = ${LOCK_MS}`);
      await holder.query(`lock table ${names} in share mode`);
      const seen = await look();
      await holder.query('commit');
      return seen;
    } catch (error) {
      await holder.query('rollback');
      const isBusy = error instanceof NotYet || ['57014', '40P01', '55P03'].includes((error as { code?: string }).code ?? '');
      if (!isBusy) throw error;
      if (attempt === ATTEMPTS) {
        throw new BackupFault(
          'BACKUP_BUSY',
          'A long transaction writes, so that no moment could be held still: try again when it has ended.',
        );
      }
      await sleep(100 + Math.random() * 200);
    }
  }
}

/** What was looked for is not there yet. */
export class NotYet extends Error {}

/** Begins anew: from here on the client sees what is committed now. */
export async function takeSnapshot(client: Client): Promise<void> {
  await client.query(`rollback; ${SNAPSHOT}; ${AS_OWNER}`);
  await client.query('select count(*) from audit_log'); // the first query takes it
}

/** In a transaction that has begun: the state of all tables, and its end. */
export async function stateIn(client: Client): Promise<State> {
  const tables: Marker['tables'] = {};
  for (const { name } of (await client.query<{ name: string }>(COUNTED)).rows) {
    tables[name] = (await client.query<TableState & object>(stateOf(name))).rows[0]!;
  }
  const [auditHead = null] = (await client.query<{ seq: string; head: string }>(HEAD)).rows;
  await client.query('commit');
  return { auditHead, tables };
}

/** The state as it is, where nobody writes; on an embedded database `before` its end, while everybody else waits. */
export async function currentState(
  target: DatabaseTarget,
  before: (client: Client) => Promise<void> = () => Promise.resolve(),
): Promise<State> {
  const client = await openConnection(target, { patient: true });
  try {
    await client.query('begin isolation level repeatable read');
    try {
      await before(client);
      await client.query(AS_OWNER);
      return await stateIn(client);
    } catch (error) {
      await client.query('rollback');
      throw error;
    }
  } finally {
    await client.end();
  }
}

/** What a copy has otherwise than the marker says, in words; empty: nothing. */
export function differencesFrom(marker: State, found: State): string[] {
  const names = [...new Set([...Object.keys(marker.tables), ...Object.keys(found.tables)])].sort();
  const differences = names.flatMap((name) => {
    const [then, now] = [marker.tables[name], found.tables[name]];
    if (!then || !now) return [`${name}: ${then ? 'is gone' : 'was not there'}`];
    if (then.rows !== now.rows) return [`${name}: ${now.rows} rows instead of ${then.rows}`];
    return then.checksum === now.checksum ? [] : [`${name}: its ${now.rows} rows are not the same`];
  });
  if (marker.auditHead?.head !== found.auditHead?.head) differences.push('audit_batches: another end of the chain');
  return differences;
}

/** Short enough to stand beside a backup. */
export const packMarker = (marker: Marker): string => deflateRawSync(JSON.stringify(marker)).toString('base64url');

export function unpackMarker(text: string): Marker | undefined {
  try {
    return JSON.parse(inflateRawSync(Buffer.from(text, 'base64url'), { maxOutputLength: 10_000_000 }).toString()) as Marker;
  } catch {
    return undefined;
  }
}
