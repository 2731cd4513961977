import type { OwnerSession } from '@studently/platform';
import { inSteps, type Course } from './steps';
import { chosen } from './tables';

/** Below, an index is not worth the work. */
const WORTH_BYTES = 1024 * 1024;
/** B-trees that were filled at random are a third larger than freshly built ones, and stay so. */
const WORTH_BLOAT = 1.5;
const SAMPLE_ROWS = 1000;

interface IndexState {
  /** As it stands in SQL. */
  index: string;
  table: string;
  method: string;
  isValid: boolean;
  /** What an interrupted REINDEX CONCURRENTLY has left behind. */
  isLeftover: boolean;
  /** Somebody builds an index of the table, or vacuums it. */
  isBusy: boolean;
  bytes: number;
  rows: number;
  isPartial: boolean;
  /** The expressions that it holds. */
  columns: string[];
}

export interface IndexMaintained {
  index: string;
  table: string;
  /** `leftover`: it was dropped. */
  why: 'leftover' | 'invalid' | 'bloated' | 'asked';
  /** Size by what a freshly built one would have; of B-trees alone, and an estimate. */
  bloat?: number;
  bytesBefore: number;
  /** Missing in a dry run, and where it failed. */
  bytesAfter?: number;
  /** What went wrong, or what the server remarked. */
  remark?: string;
  failed: boolean;
  milliseconds: number;
}

const INDEXES = `
  select format('%I.%I', n.nspname, ic.relname) as index, format('%I.%I', n.nspname, t.relname) as table, a.amname as method,
    i.indisvalid as "isValid", not i.indisvalid and ic.relname ~ '_cc(new|old)\\d*$' as "isLeftover",
    exists (select from pg_locks l where l.locktype = 'relation' and l.relation = t.oid and l.pid <> pg_backend_pid() and l.granted
              and l.database = (select oid from pg_database where datname = current_database())
              and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'AccessExclusiveLock')) as "isBusy",
    pg_relation_size(ic.oid)::float8 as bytes, t.reltuples::float8 as rows, i.indpred is not null as "isPartial",
    array(select pg_get_indexdef(ic.oid, nr, true) from generate_series(1, i.indnatts) nr) as columns
  from pg_index i join pg_class ic on ic.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
    join pg_namespace n on n.oid = t.relnamespace join pg_am a on a.oid = ic.relam
  where ic.relkind = 'i' and t.relowner = 'studently_owner'::regrole and n.nspname not like 'pg\\_%'
  order by pg_relation_size(ic.oid), 1`;

/**
 * Builds indexes anew beside the old ones, while everything runs, and cleans up after builds that were interrupted. Without names and
 * `all` those that are invalid or bloated. It needs room on the disk for one more of the largest, and waits for open transactions.
 */
export async function reindex(
  session: OwnerSession,
  names: readonly string[],
  { all = false, ...course }: Course & { all?: boolean },
): Promise<IndexMaintained[]> {
  const indexes = await session.query<IndexState>(INDEXES);
  const asked = names.length > 0 || all;
  const named = chosen(indexes, ({ index }) => index, names, 'index');
  const work: (Pick<IndexMaintained, 'why' | 'bloat'> & { state: IndexState })[] = [];
  for (const state of asked ? new Set([...named, ...indexes.filter(({ isLeftover }) => isLeftover)]) : indexes) {
    if (state.isLeftover) work.push({ state, why: 'leftover' });
    else if (!state.isValid) work.push({ state, why: 'invalid' });
    else {
      const bloat = await bloatOf(session, state);
      if (asked) work.push({ state, why: 'asked', bloat });
      else if (bloat !== undefined && bloat >= WORTH_BLOAT && state.bytes >= WORTH_BYTES) {
        work.push({ state, why: 'bloated', bloat });
      }
    }
  }
  // pgvector before 0.8.4 builds HNSW wrongly in parallel (CVE-2026-3172).
  if (!session.target.embedded) await session.execute('set max_parallel_maintenance_workers = 0');
  return inSteps(
    work,
    ({ state }) => state.index,
    course,
    async ({ state, why, bloat }) => {
      const { index, table, bytes } = state;
      const known = {
        index,
        table,
        why,
        ...(bloat !== undefined && { bloat: Math.round(bloat * 10) / 10 }),
        bytesBefore: bytes,
      };
      if (course.dryRun) return { ...known, failed: false };
      if (why === 'leftover') return { ...known, ...(await dropLeftover(session, state)) };
      // Who builds it (a migration) would be waited for, and would wait for us.
      if (why === 'invalid' && state.isBusy) return { ...known, remark: BUSY, failed: false };
      return { ...known, ...(await rebuild(session, state)) };
    },
  );
}

const BUSY = 'somebody works on its table: it may be under construction, and stays';

type Outcome = Pick<IndexMaintained, 'bytesAfter' | 'remark' | 'failed'>;

async function rebuild(session: OwnerSession, { index, table }: IndexState): Promise<Outcome> {
  session.notices.length = 0;
  try {
    await session.execute(`reindex index ${session.target.embedded ? '' : 'concurrently'} ${index}`);
  } catch (error) {
    const [code, reason] = [(error as { code?: string }).code, error instanceof Error ? error.message : 'failure'];
    await dropWhatIsLeft(session, table);
    if (code === '57014') throw error; // somebody has asked for its end
    return { remark: reason, failed: true };
  }
  const [size] = await session.query<{ bytes: number }>('select pg_relation_size($1::regclass)::float8 as bytes', [index]);
  const remark = session.notices.find((notice) => notice.includes('no longer fits into maintenance_work_mem'));
  return {
    bytesAfter: size!.bytes,
    ...(remark && { remark: `${remark}: it was slow. Raise maintenance_work_mem of the login` }),
    failed: false,
  };
}

/** As far as that needs no long wait: the next run looks again. */
async function dropWhatIsLeft(session: OwnerSession, table: string): Promise<void> {
  await session.execute(`set lock_timeout = '2s'`);
  for (const left of await session.query<IndexState>(INDEXES)) {
    if (left.isLeftover && left.table === table) await dropLeftover(session, left).catch(() => undefined);
  }
  await session.execute('set lock_timeout = 0');
}

async function dropLeftover(session: OwnerSession, { index, isBusy }: IndexState): Promise<Outcome> {
  if (isBusy) return { remark: BUSY, failed: false };
  await session.execute(`drop index ${session.target.embedded ? '' : 'concurrently'} if exists ${index}`);
  return { bytesAfter: 0, failed: false };
}

/**
 * How large a B-tree is by what a fresh one would be: of each row its tuple (8 bytes and what it holds, aligned) and its item pointer
 * (4), in pages that are filled to nine tenths. What is shared by equal keys is left out, so the answer is rather too small.
 * @returns undefined where it cannot be said
 */
async function bloatOf(session: OwnerSession, { table, method, rows, bytes, isPartial, columns }: IndexState) {
  if (method !== 'btree' || isPartial || rows <= 0) return undefined;
  const width = columns.map((column) => `coalesce(pg_column_size(${column}), 0)`).join(' + ');
  const [sample] = await session.query<{ width: number | null }>(
    `select avg(${width})::float8 as width from (select * from ${table} limit ${SAMPLE_ROWS}) sampled`,
  );
  if (!sample || sample.width === null) return undefined;
  const tuple = 8 + Math.ceil(sample.width / 8) * 8 + 4;
  const pages = 1 + Math.ceil((rows * tuple) / (0.9 * (8192 - 40)));
  return bytes / (pages * 8192);
}
