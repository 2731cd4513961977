import type { Client, QueryResultRow } from 'pg';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { contextOf, SYSTEM } from '../security/actor';
import { CANONICAL, type Batch, type Place } from './batch';

/** A row of audit_events, with the bytes that its hash is of. */
export interface SealedRow extends Place {
  canonical: string;
}

/** Which batches are looked at. */
export interface Extent {
  first: bigint;
  to?: Date;
  /** The one before the first, which the first follows. */
  before?: Batch;
  events: number;
}

export interface LogPage {
  batches: Batch[];
  /** All rows from the end of the page before to the end of this, in their order. */
  rows: SealedRow[];
}

const BATCH_COLUMNS = `seq::text as seq, first_xid::text as first_xid, first_id::text as first_id, last_xid::text as last_xid,
  last_id::text as last_id, events, ids::text[] as ids, leaves, previous, head, sealed_at, key_id, signature`;
const EXTENT = `
  select coalesce(min(seq), 1)::text as first, coalesce(sum(events), 0)::float8 as events from audit_batches
  where sealed_at >= coalesce($1::timestamptz, '-infinity') and sealed_at < coalesce($2::timestamptz, 'infinity')`;
const BATCHES = `
  select ${BATCH_COLUMNS} from audit_batches b where b.seq >= $1 and sealed_at < coalesce($2::timestamptz, 'infinity') order by b.seq limit $3`;
const BEFORE = `select ${BATCH_COLUMNS} from audit_batches b where b.seq < $1 order by b.seq desc limit 1`;
const ROWS = `
  select a.xid::text as xid, a.id::text as id, ${CANONICAL} as canonical from audit_events a
  where (a.xid, a.id) > ($1::xid8, $2::bigint) and (a.xid, a.id) <= ($3::xid8, $4::bigint) order by a.xid, a.id limit $5`;

/** So many rows are in memory at a time, twice: one page is read while the other is compared. */
const PAGE = 20_000;

/** Reads the log and its batches page by page, as the worker's role. What is sealed does not change, so no transaction spans the pages. */
export class SealedLog {
  private constructor(
    private readonly client: Client,
    readonly id: string,
  ) {}

  static async open(target: DatabaseTarget): Promise<SealedLog> {
    const client = await openConnection(target);
    try {
      const [log] = await read<{ id: string }>(client, 'select id from audit_log');
      return new SealedLog(client, log!.id);
    } catch (error) {
      await client.end();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  async extent(from?: Date, to?: Date): Promise<Extent> {
    const [row] = await this.read<{ first: string; events: number }>(EXTENT, [from ?? null, to ?? null]);
    const first = from === undefined ? '1' : row!.first;
    const [before] = await this.read<Batch>(BEFORE, [first]);
    return { first: BigInt(first), to, before, events: row!.events };
  }

  async headOf(seq: string): Promise<Buffer | undefined> {
    const [row] = await this.read<{ head: Buffer }>('select head from audit_batches where seq = $1', [seq]);
    return row?.head;
  }

  async *pages({ first, to, before }: Extent): AsyncGenerator<LogPage> {
    let after: Place = before ? { xid: before.last_xid, id: before.last_id } : { xid: '0', id: '0' };
    let seq = first;
    let size = 20;
    let ahead: Promise<LogPage> | undefined;
    for (;;) {
      const batches = await this.read<Batch>(BATCHES, [String(seq), to ?? null, size]);
      const last = batches.at(-1);
      const next = last && this.page(batches, after, { xid: last.last_xid, id: last.last_id });
      if (ahead) yield await ahead;
      if (!last) return;
      ahead = next;
      after = { xid: last.last_xid, id: last.last_id };
      seq = BigInt(last.seq) + 1n;
      const events = batches.reduce((sum, batch) => sum + batch.events, 0);
      size = Math.max(1, Math.min(2000, Math.floor((PAGE * batches.length) / events)));
    }
  }

  private async page(batches: Batch[], after: Place, upTo: Place): Promise<LogPage> {
    const rows: SealedRow[] = [];
    for (let more = true; more;) {
      const from = rows.at(-1) ?? after;
      const found = await this.read<SealedRow>(ROWS, [from.xid, from.id, upTo.xid, upTo.id, PAGE]);
      rows.push(...found);
      more = found.length === PAGE;
    }
    return { batches, rows };
  }

  private read<Row extends QueryResultRow>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return read(this.client, sql, values);
  }
}

async function read<Row extends QueryResultRow>(client: Client, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
  const [, { rows }] = await Promise.all([
    client.query(`begin read only; ${contextOf(SYSTEM)}`),
    client.query<Row>(sql, [...values]),
    client.query('commit'),
  ]);
  return rows;
}
