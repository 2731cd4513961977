import type { Check, Finding } from '../check';

const INSTALL = 'create extension amcheck;';

interface Sight {
  schema: string | null;
  login: string;
  may: boolean;
}

const SIGHT = `
  select quote_ident(n.nspname) as schema, quote_ident(current_user) as login,
    coalesce((select bool_and(has_function_privilege(p.oid, 'execute')) from pg_proc p
              where p.pronamespace = n.oid and (p.proname = 'verify_heapam' or p.proname = 'bt_index_check' and p.pronargs = 2)), false) as may
  from (select) nothing left join pg_extension e on e.extname = 'amcheck' left join pg_namespace n on n.oid = e.extnamespace`;

interface Relation {
  name: string;
  oid: number;
  isIndex: boolean;
}

/** Of the catalog as well; temporary ones are of another session. */
const RELATIONS = `
  select c.oid::regclass::text as name, c.oid::int8::float8 as oid, c.relkind = 'i' as "isIndex"
  from pg_class c left join pg_index i on i.indexrelid = c.oid
  where (c.relpersistence = 'p' or c.relpersistence = 'u' and not pg_is_in_recovery())
    and (c.relkind in ('r', 'm') or c.relkind = 'i' and i.indisvalid and i.indisready
      and c.relam = (select oid from pg_am where amname = 'btree'))
  order by c.relkind, c.oid`;

/** Whether the pages of each table are what they should be, and each B-tree has its order and an entry for each row. */
export const amcheck: Check = {
  name: 'amcheck',
  deep: true,
  served: true,
  examine: async ({ ask, tell }): Promise<Finding[]> => {
    const [sight] = await ask<Sight>(SIGHT);
    const { schema, login, may } = sight!;
    if (!schema)
      return [unseen('The extension amcheck is not there: damage that checksums do not show stays unseen.', INSTALL)];
    if (!may) {
      return [
        unseen(
          'The login may not use amcheck.',
          `grant execute on function ${schema}.bt_index_check(regclass, boolean), ${schema}.verify_heapam to ${login};`,
        ),
      ];
    }
    const found: Finding[] = [];
    const relations = await ask<Relation>(RELATIONS);
    for (const [at, { name, oid, isIndex }] of relations.entries()) {
      tell(at, relations.length);
      const check = isIndex
        ? `select ${schema}.bt_index_check(${oid}::regclass, true)`
        : `select msg from ${schema}.verify_heapam(${oid}, on_error_stop => true) limit 1`;
      const damage = await ask<{ msg?: string }>(check).then(([row]) => row?.msg, damageOf);
      if (damage === undefined) continue;
      // An index that was built anew meanwhile is another one, and PostgreSQL says of the former what it says of damage.
      const [there] = await ask<{ yes: boolean }>(`select exists (select from pg_class where oid = ${oid}) as yes`);
      if (there!.yes) found.push(damaged(name, isIndex, damage));
    }
    return found;
  },
};

const unseen = (what: string, mend: string): Finding => ({ severity: 'warning', what, mend });

const damaged = (name: string, isIndex: boolean, damage: string): Finding => ({
  severity: 'critical',
  what: `${isIndex ? 'The index' : 'The table'} ${name} is damaged: ${damage}.`,
  mend: isIndex
    ? `reindex index concurrently ${name};`
    : '$ npx studently audit verify   # then restore the last backup that is well, and look at the disk and the memory of the machine',
});

/** DATA_CORRUPTED and INDEX_CORRUPTED; they speak of pages and places, not of values. */
const CORRUPTED = new Set(['XX000', 'XX001', 'XX002']);
/** Somebody has dropped it meanwhile. */
const GONE = '42P01';

function damageOf(error: unknown): string | undefined {
  const { code, message } = error as { code?: string; message: string };
  if (code === GONE) return undefined;
  if (code && CORRUPTED.has(code)) return message;
  throw error;
}
