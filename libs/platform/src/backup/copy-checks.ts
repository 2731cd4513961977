import type { Client } from 'pg';
import type { AuditKeys } from '../audit/signing-key';
import { anchorFileOf } from '../audit/anchors';
import { verifyAudit } from '../audit/verify-audit';
import type { Settings } from '../config/config';
import { Migrations } from '../migrations/migrations';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { checkServer } from '../persistence/server-checks';
import { contextOf, type Actor } from '../security/actor';
import { existsSync } from 'node:fs';

/** What a restored copy was asked, and whether it is as it must be. */
export interface Check {
  name: string;
  ok: boolean;
  detail: string;
}

/** Each foreign key with a query that counts the rows which it should not allow. A key that is partly null refers to nothing. */
const FOREIGN_KEYS = `
  select k.conrelid::regclass::text || '.' || quote_ident(k.conname) as name,
    format('select count(*)::int as count from %s c where %s and not exists (select from %s p where %s)', k.conrelid::regclass,
      string_agg(format('c.%I is not null', child.attname), ' and '), k.confrelid::regclass,
      string_agg(format('p.%I = c.%I', parent.attname, child.attname), ' and ')) as query
  from pg_constraint k cross join unnest(k.conkey, k.confkey) as pair (child, parent)
  join pg_attribute child on child.attrelid = k.conrelid and child.attnum = pair.child
  join pg_attribute parent on parent.attrelid = k.confrelid and parent.attnum = pair.parent
  where k.contype = 'f' and k.conparentid = 0 group by k.oid, k.conrelid, k.confrelid, k.conname order by 1`;
const INDEXES = `
  select c.oid, c.oid::regclass::text as name from pg_class c join pg_index i on i.indexrelid = c.oid join pg_am a on a.oid = c.relam
  where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p' and i.indisvalid order by 2`;
const HEAPS = `select c.oid, c.oid::regclass::text as name from pg_class c where c.relkind in ('r', 'm') and c.relpersistence = 'p' order by 2`;
const OWNED = `
  select c.oid::regclass::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id'
  where c.relkind in ('r', 'p') and not c.relispartition and c.relrowsecurity and c.relnamespace = 'public'::regnamespace
    and has_table_privilege('studently_app', c.oid, 'select')
    and exists (select from pg_policy p where p.polrelid = c.oid and p.polcmd in ('r', '*') and 'studently_app'::regrole = any (p.polroles)) order by 1`;
const A_LEARNER =
  'select id::text as id from users order by (select count(*) from chats where user_id = users.id) desc limit 1';
const NEAREST = `
  select count(*)::int as count, coalesce(min(distance), 0)::float8 as nearest from (
    select v.embedding <=> first.embedding as distance from passage_vectors v, (select user_id, embedding from passage_vectors limit 1) first
    where v.user_id = first.user_id order by 1 limit 5) found`;

/** Every check, one after another; a check that cannot be made has failed. */
export async function checkCopy(
  target: DatabaseTarget,
  settings: Settings,
  keys: AuditKeys,
  sealedBefore: Date,
  step: (what: string) => void,
): Promise<Check[]> {
  const client = await openConnection(target, { patient: true });
  const checks: Check[] = [];
  const ask = async (name: string, work: () => Promise<Omit<Check, 'name'>>) => {
    step(name);
    checks.push({
      name,
      ...(await work().catch((error: unknown) => ({ ok: false, detail: `cannot be told: ${reasonOf(error)}` }))),
    });
  };
  try {
    if (target.embedded) await new Migrations(target).up(); // as the start of the API would, with a backup of the release before
    await ask('foreign keys', () => foreignKeys(client));
    if (!target.embedded) await ask('amcheck', () => amcheck(client)); // PGlite is started without the extension
    await ask('audit chain', () => auditChain(target, settings, keys, sealedBefore));
    await ask('application', () => application(client, target));
    return checks;
  } finally {
    await client.end();
  }
}

async function foreignKeys(client: Client) {
  const { rows } = await client.query<{ name: string; query: string }>(FOREIGN_KEYS);
  const broken: string[] = [];
  for (const { name, query } of rows) {
    const { count } = (await client.query<{ count: number }>(query)).rows[0]!;
    if (count > 0) broken.push(`${name}: ${count} rows without what they refer to`);
  }
  return judged(broken, `${rows.length} foreign keys hold`);
}

/** Every B-tree against its table, and every table with its TOAST, page by page. */
async function amcheck(client: Client) {
  await client.query('create extension if not exists amcheck');
  const broken: string[] = [];
  const indexes = (await client.query<{ oid: number; name: string }>(INDEXES)).rows;
  for (const { oid, name } of indexes) {
    await client
      .query('select bt_index_parent_check($1::oid, true, true)', [oid])
      .catch((error: unknown) => broken.push(`${name}: ${reasonOf(error)}`));
  }
  const heaps = (await client.query<{ oid: number; name: string }>(HEAPS)).rows;
  for (const { oid, name } of heaps) {
    const found = await client
      .query<{ count: number }>('select count(*)::int as count from verify_heapam($1::oid, check_toast => true)', [oid])
      .then(({ rows }) => rows[0]!.count, reasonOf);
    if (found !== 0) broken.push(`${name}: ${found}`);
  }
  return judged(broken, `${indexes.length} indexes and ${heaps.length} tables are whole`);
}

/** Anchors know more than a copy of an earlier time: they are asked about what was sealed before its end. */
async function auditChain(target: DatabaseTarget, settings: Settings, keys: AuditKeys, to: Date) {
  const anchorFiles = [anchorFileOf(settings)].filter(existsSync);
  const { batches, events, anchors, findings, found } = await verifyAudit(target, {
    to,
    anchorFiles,
    publicKeys: [keys.public],
  });
  const words = findings
    .slice(0, 5)
    .map(({ kind, id, batch, detail }) => [kind, id, batch && `batch ${batch}`, detail].filter(Boolean).join(' '));
  if (found > words.length) words.push(`and ${found - words.length} more`);
  return judged(words, `${events} sealed events in ${batches} batches, ${anchors} anchors`);
}

/** What the application asks: it would start, a learner sees what is hers and nothing else, nobody sees nothing, the nearest vector is found. */
async function application(client: Client, target: DatabaseTarget) {
  await checkServer(target);
  const broken: string[] = [];
  const tables = (await client.query<{ name: string }>(OWNED)).rows.map(({ name }) => name);
  const [learner] = (await client.query<{ id: string }>(A_LEARNER)).rows;
  const seenBy = async (actor: Actor, condition: string) => {
    const counts = tables
      .map((name) => `select ${condition.replaceAll('$table', name)} as count from ${name}`)
      .join(' union all ');
    await client.query(`begin read only; ${contextOf(actor)}`);
    try {
      return (await client.query<{ count: number }>(`select sum(count)::int as count from (${counts}) counts`)).rows[0]!.count;
    } finally {
      await client.query('rollback');
    }
  };
  const foreign = learner
    ? await seenBy({ userId: learner.id, role: 'STUDENT' }, `count(*) filter (where user_id <> '${learner.id}')`)
    : 0;
  if (foreign > 0) broken.push(`a learner sees ${foreign} rows of others`);
  const nobody = await seenBy({ role: 'STUDENT' }, 'count(*)');
  if (nobody > 0) broken.push(`nobody sees ${nobody} rows`);
  const own = learner ? await seenBy({ userId: learner.id, role: 'STUDENT' }, 'count(*)') : 0;
  if (learner && own === 0) broken.push('a learner sees nothing of what is hers');
  const { count, nearest } = (await client.query<{ count: number; nearest: number }>(NEAREST)).rows[0]!;
  if (nearest > 1e-6) broken.push('the vector nearest to one is not itself');
  return judged(
    broken,
    `it would start; of ${tables.length} tables a learner sees ${own} rows, nobody 0; ${count} nearest vectors`,
  );
}

const judged = (broken: string[], whole: string) => ({
  ok: broken.length === 0,
  detail: broken.length === 0 ? whole : broken.join('; '),
});

/** Messages of the database about its structure; those about rows may hold values, and come with a detail that is left out. */
export const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message.split('\n')[0]!.slice(0, 200) : 'failure';
