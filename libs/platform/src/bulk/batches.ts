import { createHash } from 'node:crypto';
import type { Transaction } from '../persistence/transaction';
import type { BulkLine } from './bulk';

/** A bulk request that may be sent again. */
export interface Batch {
  /** What is imported: the same Batch-Id may serve for several things. */
  kind: string;
  /** The caller's Batch-Id. */
  batchId: string;
}

const idOf = ({ kind, batchId }: Batch) =>
  createHash('sha256').update(`${kind} ${batchId}`).digest().subarray(0, 16).toString('hex');

/**
 * The lines that have not been accepted before under this batch. Whoever else sends the batch waits until this
 * transaction has ended, so that no line is accepted twice. Without a batch every line is open.
 */
export async function openLines<T>(tx: Transaction, batch: Batch | undefined, lines: BulkLine<T>[]): Promise<BulkLine<T>[]> {
  if (!batch) return lines;
  const [row] = await tx.query<{ open: number[] | null }>(
    `insert into import_batches as batch (user_id, id) values ($1, $2)
     on conflict (user_id, id) do update set id = excluded.id
     returning (select array_agg(line) from unnest($3::int[]) line where not batch.accepted_lines @> line) as open`,
    [tx.actor.userId, idOf(batch), lines.map(({ line }) => line)],
  );
  const open = new Set(row!.open ?? []);
  return lines.filter(({ line }) => open.has(line));
}

/** Remembers, in the transaction that accepts them, which lines are accepted. */
export async function markAccepted(tx: Transaction, batch: Batch | undefined, lines: readonly number[]): Promise<void> {
  if (!batch || lines.length === 0) return;
  await tx.query(
    `update import_batches
     set accepted_lines = accepted_lines + (select range_agg(int4range(line, line + 1)) from unnest($3::int[]) line)
     where user_id = $1 and id = $2`,
    [tx.actor.userId, idOf(batch), lines],
  );
}
