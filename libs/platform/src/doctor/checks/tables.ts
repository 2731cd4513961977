import { inBytes, inWords, judging, OURS, type Check } from '../check';

interface Dead {
  name: string;
  dead: number;
  due: number;
}

/** Twice what autovacuum would wait for: it does not keep up, or something holds it back. */
const deadRows = judging<Dead>({
  name: 'dead rows',
  served: true,
  sql: `
    select c.oid::regclass::text as name, pg_stat_get_dead_tuples(c.oid)::float8 as dead,
      current_setting('autovacuum_vacuum_threshold')::float8
        + current_setting('autovacuum_vacuum_scale_factor')::float8 * greatest(c.reltuples, pg_stat_get_live_tuples(c.oid)) as due
    from pg_class c where ${OURS} and c.relkind in ('r', 'm') order by 2 desc`,
  judge: ({ name, dead, due }) =>
    dead <= Math.max(2 * due, 10_000)
      ? undefined
      : {
          severity: 'warning',
          what: `${name} has ${inWords(dead)} dead rows: autovacuum does not keep up, or an open transaction holds it back.`,
          mend: `vacuum (analyze) ${name};`,
        },
});

/** Smaller waste is not worth a rewrite. */
const WASTE_BYTES = 32 * 1024 ** 2;
/** Of a row that is too wide, the rest is kept elsewhere. */
const WIDEST = 2000;
/** Of a row besides its columns, on its page. */
const ROW_BYTES = 28;

/** The columns by name, as the statistics of columns are hidden where row-level security is. */
const LARGE_TABLES = `
  select c.oid::regclass::text as name, pg_relation_size(c.oid)::float8 as bytes, c.reltuples::float8 as rows,
    (select string_agg(format('coalesce(least(pg_column_size(%I), ${WIDEST}), 0)', a.attname), ' + ')
     from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as width
  from pg_class c where ${OURS} and c.relkind in ('r', 'm') and c.reltuples >= 0 and pg_relation_size(c.oid) > ${WASTE_BYTES}
    and has_table_privilege('studently_owner', c.oid, 'select') order by 2 desc`;

/** What the rows need, by those of every hundredth page, against what the file has. */
const bloat: Check = {
  name: 'bloat',
  served: true,
  needs: 'owner',
  examine: async ({ ask }) => {
    const tables = await ask<{ name: string; bytes: number; rows: number; width: string }>(LARGE_TABLES);
    const found = [];
    for (const { name, bytes, rows, width } of tables) {
      const sample = `select avg(${width})::float8 as mean from ${name} tablesample system (1)`;
      const [row] = await ask<{ mean: number | null }>(sample, { asOwner: true });
      const needed = rows * (ROW_BYTES + (row!.mean ?? WIDEST)) * 1.2;
      if (bytes - needed < WASTE_BYTES || needed * 2 > bytes) continue;
      found.push({
        severity: 'warning' as const,
        what: `${name} takes ${inBytes(bytes)} for rows that need about ${inBytes(needed)}.`,
        mend: `vacuum (full, analyze) ${name}; -- nobody reads it meanwhile; pg_repack does it while everything runs`,
      });
    }
    return found;
  },
};

/** Of the 2^31 that PostgreSQL has before it refuses to write; its own emergency begins at 1.6 thousand million. */
const [HALF, EMERGENCY] = [2 ** 30, 1_600_000_000];

const wraparound = judging<{ database: string; transactions: number; multixacts: number }>({
  name: 'wraparound',
  served: true,
  sql: `select quote_ident(datname) as database, age(datfrozenxid)::float8 as transactions, mxid_age(datminmxid)::float8 as multixacts
        from pg_database where datallowconn order by 2 desc`,
  judge: ({ database, transactions, multixacts }) => {
    const age = Math.max(transactions, multixacts);
    if (age < HALF) return undefined;
    return {
      severity: age < EMERGENCY ? 'warning' : 'critical',
      what: `The database ${database} has not been frozen for ${inWords(age)} transactions. At ${inWords(2 ** 31)} PostgreSQL takes no more writes.`,
      mend: `$ vacuumdb --freeze --dbname=${database}   # and look for what holds vacuum back: old transactions, slots`,
    };
  },
});

/** Constraints that were added without looking at the rows that are there. */
const unvalidated = judging<{ name: string; constraint: string }>({
  name: 'constraints',
  sql: `select c.oid::regclass::text as name, quote_ident(k.conname) as constraint
        from pg_constraint k join pg_class c on c.oid = k.conrelid where ${OURS} and not k.convalidated order by 1, 2`,
  judge: ({ name, constraint }) => ({
    severity: 'warning',
    what: `The constraint ${constraint} of ${name} does not vouch for the rows that were there before it.`,
    mend: `alter table ${name} validate constraint ${constraint};`,
  }),
});

export const TABLE_CHECKS: readonly Check[] = [deadRows, bloat, wraparound, unvalidated];
