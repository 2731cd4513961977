import { sql } from '../support/database';

/** Not part of an extension: what our own migrations have made. */
const OURS = (oid: string, catalog: string) =>
  `not exists (select from pg_depend d where d.classid = '${catalog}'::regclass and d.objid = ${oid} and d.deptype = 'e')`;
const relationsOf = (...schemas: string[]) => `
  select c.* from pg_class c
  where c.relnamespace::regnamespace::text in ('${schemas.join("', '")}')
    and c.relname not like 'studently\\_migrations%' and ${OURS('c.oid', 'pg_class')}`;
const RELATIONS = relationsOf('public');
const ACL = (acl: string) => `array(select item::text from unnest(${acl}) item order by 1)::text`;

const DESCRIPTION = `
  with relations as (${relationsOf('public', 'operations')}), functions as (
    select p.* from pg_proc p where p.pronamespace::regnamespace::text in ('public', 'operations') and ${OURS('p.oid', 'pg_proc')}
  )
  select line from (
    select concat_ws(' ', 'relation', relkind, relname, 'owner', pg_get_userbyid(relowner), 'rls', relrowsecurity, relforcerowsecurity,
                     reloptions::text, ${ACL('relacl')}, obj_description(oid, 'pg_class')) as line from relations
    union all
    select concat_ws(' ', 'column', r.relname, row_number() over (partition by attrelid order by attnum), attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
                     attcollation, attstorage, pg_get_expr(adbin, adrelid), ${ACL('attacl')}, col_description(attrelid, attnum))
      from pg_attribute a join relations r on r.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attnum > 0 and not attisdropped
    union all
    select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(c.oid), obj_description(c.oid, 'pg_constraint'))
      from pg_constraint c join relations r on r.oid = conrelid
    union all
    select concat_ws(' ', 'index', pg_get_indexdef(oid), obj_description(oid, 'pg_class')) from relations where relkind = 'i'
    union all
    select concat_ws(' ', 'view', relname, pg_get_viewdef(oid)) from relations where relkind in ('v', 'm')
    union all
    select concat_ws(' ', 'sequence', s.*::text) from pg_sequences s where schemaname in ('public', 'operations') and sequencename in (select relname from relations)
    union all
    select concat_ws(' ', 'policy', p.*::text) from pg_policies p where schemaname = 'public'
    union all
    select concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), tgenabled) from pg_trigger t join relations r on r.oid = tgrelid where not tgisinternal
    union all
    select concat_ws(' ', 'function', pg_get_functiondef(oid), pg_get_userbyid(proowner), ${ACL('proacl')}, obj_description(oid, 'pg_proc'))
      from functions
    union all
    select concat_ws(' ', 'type', typname, typtype) from pg_type where typnamespace = 'public'::regnamespace and typtype in ('e', 'd', 'r', 'm')
    union all
    select concat_ws(' ', 'schema', nspname, ${ACL('nspacl')}) from pg_namespace where nspname = 'public'
    union all
    select concat_ws(' ', 'default privileges', d.*::text) from pg_default_acl d
  ) lines order by line`;

/** Everything that our migrations have made in a database, one line each, without anything that differs from run to run. */
export async function describeCatalog(url: string): Promise<string[]> {
  const rows = await sql<{ line: string }>(url, DESCRIPTION);
  return rows.map(({ line }) => line);
}

/** What everybody reads, and a TEACHER, an ADMIN or a service writes: docs/adr/0030. */
export const PUBLISHED: readonly string[] = ['published_documents', 'published_passages'];

/** Our tables, without the migrator's own and without partitions, which come and go with the months. */
export async function ourTables(url: string): Promise<string[]> {
  const rows = await sql<{ relname: string }>(
    url,
    `select relname from (${RELATIONS}) r where relkind in ('r', 'p') and not relispartition order by 1`,
  );
  return rows.map(({ relname }) => relname);
}

/** Tables that hold what belongs to one learner: those with a user_id, and `users`. */
export async function personalTables(url: string): Promise<string[]> {
  const rows = await sql<{ relname: string }>(
    url,
    `select relname from (${RELATIONS}) r where relkind in ('r', 'p')
       and (relname = 'users' or exists (select from pg_attribute where attrelid = r.oid and attname = 'user_id')) order by 1`,
  );
  return rows.map(({ relname }) => relname);
}

/** Parts of a partitioned table: what holds for the whole is asked of the whole, and of these that nobody reaches them by name. */
export async function partitions(url: string): Promise<string[]> {
  const rows = await sql<{ relname: string }>(
    url,
    `select relname from (${RELATIONS}) r where relkind = 'r' and relispartition order by 1`,
  );
  return rows.map(({ relname }) => relname);
}
