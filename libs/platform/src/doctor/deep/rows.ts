import { inWords, OURS, type Check, type Eyes, type Finding } from '../check';

interface Constraint {
  name: string;
  constraint: string;
  broken: string;
}

/** Counts what a constraint forbids, for each constraint: rows that came while it was not looked at. */
async function examineEach(eyes: Eyes, constraints: string, judge: (constraint: Constraint, rows: number) => Finding) {
  const all = await eyes.ask<Constraint>(constraints, { asOwner: true });
  const found: Finding[] = [];
  for (const [at, constraint] of all.entries()) {
    eyes.tell(at, all.length);
    const [row] = await eyes.ask<{ rows: number }>(`select count(*)::float8 as rows from ${constraint.broken}`, {
      asOwner: true,
    });
    if (row!.rows > 0) found.push(judge(constraint, row!.rows));
  }
  return found;
}

/** What somebody else keeps in the same schema is not ours to read. */
const READABLE = `${OURS} and has_table_privilege('studently_owner', c.oid, 'select')`;

const ORPHANS = `
  select c.oid::regclass::text as name, quote_ident(k.conname) as constraint,
    format('%s child where %s and not exists (select from %s parent where %s)', c.oid::regclass,
      string_agg(format('child.%I is not null', a.attname), ' and '), k.confrelid::regclass,
      string_agg(format('parent.%I = child.%I', pa.attname, a.attname), ' and ')) as broken
  from pg_constraint k join pg_class c on c.oid = k.conrelid,
    unnest(k.conkey, k.confkey) as u(num, parent_num)
    join pg_attribute a on a.attnum = u.num join pg_attribute pa on pa.attnum = u.parent_num
  where ${READABLE} and k.contype = 'f' and k.conparentid = 0 and a.attrelid = k.conrelid and pa.attrelid = k.confrelid
  group by c.oid, k.oid, k.conname, k.confrelid order by 1, 2`;

/** Rows that refer to one that is not there. */
const orphans: Check = {
  name: 'orphans',
  deep: true,
  needs: 'owner',
  examine: (eyes) =>
    examineEach(eyes, ORPHANS, ({ name, constraint, broken }, rows) => ({
      severity: 'critical',
      what: `${inWords(rows)} rows of ${name} refer to what is not there (${constraint}).`,
      mend: `set role studently_owner; delete from ${broken}; -- or restore what they refer to`,
    })),
};

/** As for a unique key: a check that is null holds. */
const CHECKS = `
  select c.oid::regclass::text as name, quote_ident(k.conname) as constraint,
    format('%s where not (%s)', c.oid::regclass, pg_get_expr(k.conbin, k.conrelid)) as broken
  from pg_constraint k join pg_class c on c.oid = k.conrelid
  where ${READABLE} and k.contype = 'c' and k.coninhcount = 0 and c.relkind in ('r', 'p') order by 1, 2`;

const checks: Check = {
  name: 'check constraints',
  deep: true,
  needs: 'owner',
  examine: (eyes) =>
    examineEach(eyes, CHECKS, ({ name, constraint, broken }, rows) => ({
      severity: 'critical',
      what: `${inWords(rows)} rows of ${name} are what ${constraint} forbids.`,
      mend: `set role studently_owner; select * from ${broken}; -- then mend or delete them`,
    })),
};

export const ROW_CHECKS: readonly Check[] = [orphans, checks];
