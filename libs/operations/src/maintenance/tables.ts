import type { OwnerSession } from '@studently/platform';

/** What the server counts of a table. Sizes are in bytes; rows are its estimates. */
export interface TableState {
  /** As it stands in SQL: schema and name, quoted where that is needed. */
  table: string;
  deadRows: number;
  liveRows: number;
  /** Without indexes, with what is stored out of line. */
  bytes: number;
  indexBytes: number;
  /** Rows that were written since the statistics were gathered. */
  changedSinceAnalyze: number;
  /** What the planner believes; -1: it has never been told. */
  plannedRows: number;
  analyzedAt: Date | null;
  hasVectorIndex: boolean;
}

/** Tables and partitions that hold rows, the smallest first: a large one holds up no other. */
const STATES = `
  select format('%I.%I', n.nspname, c.relname) as table,
    coalesce(s.n_dead_tup, 0)::float8 as "deadRows", coalesce(s.n_live_tup, 0)::float8 as "liveRows",
    pg_table_size(c.oid)::float8 as bytes, pg_indexes_size(c.oid)::float8 as "indexBytes",
    coalesce(s.n_mod_since_analyze, 0)::float8 as "changedSinceAnalyze", c.reltuples::float8 as "plannedRows",
    greatest(s.last_analyze, s.last_autoanalyze) as "analyzedAt",
    exists (select from pg_index i join pg_class ic on ic.oid = i.indexrelid join pg_am a on a.oid = ic.relam
            where i.indrelid = c.oid and a.amname in ('hnsw', 'ivfflat')) as "hasVectorIndex"
  from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_stat_all_tables s on s.relid = c.oid
  where c.relkind = 'r' and c.relowner = 'studently_owner'::regrole and n.nspname not like 'pg\\_%'
  order by pg_total_relation_size(c.oid), 1`;

/** The tables of these names, with or without their schema; all of ours where none is named. @throws Error for a name of none */
export async function tablesOf(session: OwnerSession, names: readonly string[] = []): Promise<TableState[]> {
  return chosen(await session.query<TableState>(STATES), ({ table }) => table, names, 'table');
}

export async function tableState(session: OwnerSession, table: string): Promise<TableState> {
  const [state] = await tablesOf(session, [table]);
  return state!;
}

/** Of `all`, those that are named; all where none is. @throws Error for a name of none */
export function chosen<T>(all: T[], nameOf: (one: T) => string, names: readonly string[], kind: string): T[] {
  if (names.length === 0) return all;
  const isNamed = (one: T, name: string) => nameOf(one) === name || nameOf(one).split('.')[1] === name;
  for (const name of names) {
    if (!all.some((one) => isNamed(one, name))) {
      throw new Error(`The platform has no ${kind} ${JSON.stringify(name)}: \`--dry-run\` without names lists all.`);
    }
  }
  return all.filter((one) => names.some((name) => isNamed(one, name)));
}
