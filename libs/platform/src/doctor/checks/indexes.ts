import { knownIndexes } from '../../migrations/migrations';
import { inBytes, inWords, judging, OURS, type Check } from '../check';

const INDEXES = `
  select i.*, c.oid as table_oid, c.oid::regclass::text as "table", x.oid::regclass::text as name, x.relname, x.relam, c.relispartition,
    exists (select from pg_constraint k where k.conindid = i.indexrelid) as is_constraint
  from pg_index i join pg_class c on c.oid = i.indrelid join pg_class x on x.oid = i.indexrelid
  where ${OURS} and c.relkind in ('r', 'm', 'p')`;

/** Left behind by a build that was interrupted: kept up with every write, and never read. */
const invalid = judging<{ name: string; leftover: boolean }>({
  name: 'invalid indexes',
  sql: `
    select name, relname ~ '_ccnew\\d*$|_ccold\\d*$' as leftover from (${INDEXES}) i
    where (not indisvalid or not indisready)
      and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid) -- it is being built
    order by 1`,
  judge: ({ name, leftover }) => ({
    severity: 'critical',
    what: `The index ${name} is invalid: it costs every write, and no query uses it.`,
    mend: leftover ? `drop index concurrently ${name};` : `reindex index concurrently ${name};`,
  }),
});

const duplicate = judging<{ name: string; of: string }>({
  name: 'duplicate indexes',
  sql: `
    select name, kept as of from (
      select name, is_constraint, first_value(name) over same as kept from (${INDEXES}) i where indisvalid
      window same as (partition by indrelid, relam, indkey::text, indclass::text, indcollation::text, indoption::text,
                        pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)
                      order by is_constraint desc, indisunique desc, indexrelid)
    ) all_indexes where name <> kept and not is_constraint order by 1`,
  judge: ({ name, of }) => ({
    severity: 'warning',
    what: `The index ${name} is the same as ${of}: each write pays for it twice.`,
    mend: `drop index concurrently ${name};`,
  }),
});

/** Reads of its table from which on an index that none of them used can be said to be unused. */
const READS = 1000;

interface Unread {
  name: string;
  relname: string;
  bytes: number;
  reads: number;
}

const unused = judging<Unread>({
  name: 'unused indexes',
  served: true,
  sql: `
    select i.name, i.relname, pg_relation_size(i.indexrelid)::float8 as bytes,
      (pg_stat_get_numscans(i.indrelid) + (select sum(pg_stat_get_numscans(o.indexrelid)) from pg_index o where o.indrelid = i.indrelid))::float8 as reads
    from (${INDEXES}) i
    where indisvalid and not is_constraint and not indisunique and not relispartition and pg_stat_get_numscans(i.indexrelid) = 0
      and not exists (select from pg_inherits h where h.inhparent = i.indexrelid)
    order by 3 desc`,
  judge: ({ name, relname, bytes, reads }) => {
    if (reads < READS) return undefined;
    const serves = knownIndexes().get(relname);
    if (serves !== undefined) {
      return {
        severity: 'note',
        what: `None of ${inWords(reads)} reads of its table has used the index ${name} (${inBytes(bytes)}). It serves: ${serves}`,
        mend: 'select stats_reset from pg_stat_database where datname = current_database(); -- since when they are counted',
      };
    }
    return {
      severity: 'warning',
      what: `None of ${inWords(reads)} reads of its table has used the index ${name} (${inBytes(bytes)}), and no migration has made it.`,
      mend: `drop index concurrently ${name};`,
    };
  },
});

/** Tables without row-level security hold what is the same for all: their rows stay, so nobody looks for what refers to them. */
const missing = judging<{ name: string; constraint: string; columns: string; index: string }>({
  name: 'missing indexes',
  sql: `
    select c.oid::regclass::text as name, quote_ident(k.conname) as constraint, quote_ident(left(k.conname, 55) || '_served') as index,
      (select string_agg(quote_ident(a.attname), ', ' order by u.at) from unnest(k.conkey) with ordinality u(num, at)
       join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num) as columns
    from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class parent on parent.oid = k.confrelid
    where ${OURS} and k.contype = 'f' and k.conparentid = 0 and parent.relrowsecurity and not exists (
      select from pg_index i where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null
        and (string_to_array(i.indkey::text, ' ')::int2[])[1:cardinality(k.conkey)] @> k.conkey)
    order by 1, 2`,
  judge: ({ name, constraint, columns, index }) => ({
    severity: 'warning',
    what: `The foreign key ${constraint} of ${name} has no index: each deletion there reads the whole table.`,
    mend: `create index concurrently ${index} on ${name} (${columns});`,
  }),
});

export const INDEX_CHECKS: readonly Check[] = [invalid, duplicate, unused, missing];
