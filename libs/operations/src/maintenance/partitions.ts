import type { OwnerSession } from '@studently/platform';

export interface Partition {
  partition: string;
  /** Which rows belong there. */
  bounds: string;
  rows: number;
  bytes: number;
}

export interface PartitionsMaintained {
  before: Partition[];
  /** Missing in a dry run. */
  after?: Partition[];
  /** Months that have none yet and should: this one and the next two. */
  missing: string[];
}

const PARTITIONS = `
  select format('%I.%I', n.nspname, c.relname) as partition, pg_get_expr(c.relpartbound, c.oid) as bounds,
    greatest(c.reltuples, 0)::float8 as rows, pg_total_relation_size(c.oid)::float8 as bytes
  from pg_inherits h join pg_class c on c.oid = h.inhrelid join pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'r' and c.relispartition and h.inhparent = 'audit_events'::regclass order by 1`;

const MISSING = `
  select to_char(month, 'YYYY_MM') as month from generate_series(0, 2) ahead,
    lateral (select date_trunc('month', now() at time zone 'UTC') + ahead * interval '1 month' as month) m
  where month at time zone 'UTC' >= (select monthly_from from audit_log)
    and to_regclass('public.audit_events_' || to_char(month, 'YYYY_MM')) is null order by 1`;

/** The audit log is kept by month: has the partitions of this month and the next two ready, and brings there what had to go elsewhere. */
export async function partitions(session: OwnerSession, { dryRun = false }): Promise<PartitionsMaintained> {
  const before = await session.query<Partition>(PARTITIONS);
  const missing = (await session.query<{ month: string }>(MISSING)).map(({ month }) => month);
  if (dryRun) return { before, missing };
  await session.execute('select prepare_audit_months()');
  return { before, after: await session.query<Partition>(PARTITIONS), missing };
}
