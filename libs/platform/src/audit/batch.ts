import { createHash, hash, sign, verify, type KeyObject } from 'node:crypto';

/**
 * The bytes of an event, whoever computes them: when, and every other column but its id, as canonical JSON. A column
 * without a value is left out, so that one may be added later. The id stands in the batch beside the hash, so that a
 * row which holds another's content is told from one with new content.
 */
export const CANONICAL = `(extract(epoch from a.occurred_at) * 1000)::bigint || ' ' ||
  (jsonb_strip_nulls(to_jsonb(a)) - array['id', 'occurred_at'])::text`;

/** The hash of an event's bytes. */
export const leafOf = (canonical: string): Buffer => hash('sha256', canonical, 'buffer');

/** A place in the order of the log: (xid, id). Both are 64 bits wide, so they are texts. */
export interface Place {
  xid: string;
  id: string;
}

/** A batch as the database keeps it. */
export interface Batch {
  seq: string;
  first_xid: string;
  first_id: string;
  last_xid: string;
  last_id: string;
  events: number;
  ids: string[];
  leaves: Buffer;
  previous: Buffer;
  head: Buffer;
  sealed_at: Date;
  key_id: string;
  signature: Buffer;
}

/** What is signed, and kept outside the database: small, whatever the batch holds. */
export interface Statement {
  log: string;
  seq: string;
  events: number;
  first: [xid: string, id: string];
  last: [xid: string, id: string];
  /** Ids from … to, in ascending order: those that are gone can be named. */
  ids: [from: string, to: string][];
  previous: string;
  head: string;
  sealedAt: string;
  key: string;
}

export type Anchor = Statement & { signature: string };

/** Before the first batch. No two logs have the same, so no batch of one fits into another. */
export const genesisOf = (log: string): Buffer => hash('sha256', `studently audit log ${log}`, 'buffer');

/** The chain: each head depends on the one before, and on every event of the batch in its place. */
export function headOf(previous: Buffer, seq: string, ids: readonly string[], leaves: Buffer): Buffer {
  const numbers = Buffer.alloc(8 * (ids.length + 1));
  numbers.writeBigInt64BE(BigInt(seq));
  ids.forEach((id, index) => numbers.writeBigInt64BE(BigInt(id), 8 * (index + 1)));
  return createHash('sha256').update('studently audit batch 1\n').update(previous).update(numbers).update(leaves).digest();
}

export function statementOf(log: string, batch: Omit<Batch, 'signature'>): Statement {
  return {
    log,
    seq: batch.seq,
    events: batch.events,
    first: [batch.first_xid, batch.first_id],
    last: [batch.last_xid, batch.last_id],
    ids: rangesOf(batch.ids),
    previous: batch.previous.toString('hex'),
    head: batch.head.toString('hex'),
    sealedAt: batch.sealed_at.toISOString(),
    key: batch.key_id,
  };
}

function rangesOf(ids: readonly string[]): [string, string][] {
  const ranges: [bigint, bigint][] = [];
  for (const id of ids.map(BigInt).sort((a, b) => (a < b ? -1 : 1))) {
    const latest = ranges.at(-1);
    if (latest && latest[1] + 1n === id) latest[1] = id;
    else ranges.push([id, id]);
  }
  return ranges.map(([from, to]) => [String(from), String(to)]);
}

const bytesOf = (statement: Statement) => Buffer.from(JSON.stringify(statement));

export const signed = (statement: Statement, key: KeyObject): Buffer => sign(null, bytesOf(statement), key);

export const isSigned = (statement: Statement, signature: Buffer, key: KeyObject): boolean =>
  verify(null, bytesOf(statement), key, signature);
