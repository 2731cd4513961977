import type { Client } from 'pg';
import type { TortureContext } from '../harness/torture';

export interface Tampering {
  name: string;
  /** Changes sealed rows as a superuser. @returns the ids of the rows that have to be named */
  apply(client: Client, context: TortureContext): Promise<string[]>;
}

/** Each column of an event, and another value for it. */
const EDITS = [
  `actor_id = uuid_generate_v4()`,
  `actor_id = null`,
  `actor_role = case actor_role when 'ADMIN' then 'STUDENT' else 'ADMIN' end`,
  `learner_id = uuid_generate_v4()`,
  `on_behalf_of = uuid_generate_v4()`,
  `operation = coalesce(operation, '') || '!'`,
  `action = 'chat.forged'`,
  `subject_id = subject_id || '0'`,
  `changed_fields = changed_fields || 'role'::text`,
  `request_id = null`,
  `changes = changes || '{"User.role": ["a", "b"]}'`,
  `changes = null`,
  `occurred_at = occurred_at + interval '1 ms'`,
  `xid = (xid::text::bigint + 1)::text::xid8`,
  `xid = (xid::text::bigint - 1)::text::xid8`,
];

const ids = async (client: Client, text: string, values: unknown[] = []) =>
  (await client.query<{ id: string }>(text, values)).rows.map(({ id }) => id);

const someIds = async (client: Client, context: TortureContext, count: number) => {
  const all = await ids(client, 'select id::text as id from kept_events order by id');
  return Array.from({ length: count }, () => all.splice(context.below(all.length), 1)[0]!);
};

export const TAMPERINGS: Tampering[] = [
  {
    name: 'editing',
    apply: async (client, context) => {
      const rows = await someIds(client, context, 1 + context.below(3));
      return ids(
        client,
        `update audit_events set ${context.pick(EDITS)} where id = any($1::bigint[]) returning id::text as id`,
        [rows],
      );
    },
  },
  {
    name: 'deleting',
    apply: async (client, context) => {
      const rows = await someIds(client, context, 1 + context.below(5));
      return ids(client, 'delete from audit_events where id = any($1::bigint[]) returning id::text as id', [rows]);
    },
  },
  {
    name: 'exchanging two',
    apply: async (client, context) => {
      const [one, other] = await someIds(client, context, 2);
      // Every column but the id: each has the other's place and content.
      return ids(
        client,
        `update audit_events a set (xid, occurred_at, actor_id, actor_role, on_behalf_of, operation, learner_id, action, subject_id,
             changed_fields, request_id, changes) =
           (select xid, occurred_at, actor_id, actor_role, on_behalf_of, operation, learner_id, action, subject_id, changed_fields,
             request_id, changes from kept_events k where k.id = case a.id when $1 then $2 else $1 end)
         where a.id in ($1, $2) returning a.id::text as id`,
        [one, other],
      );
    },
  },
  {
    name: 'cutting off the end',
    apply: async (client, context) => {
      const [last] = (await client.query<{ seq: number }>('select max(seq)::int as seq from audit_batches')).rows;
      const from = last!.seq - context.below(4);
      const gone = await ids(
        client,
        `with gone as (delete from audit_batches where seq >= $1 returning ids) select unnest(ids)::text as id from gone`,
        [from],
      );
      await client.query('delete from audit_events where id = any($1::bigint[])', [gone]);
      return gone;
    },
  },
  {
    name: 'cutting off the end, but not its seals',
    apply: async (client, context) =>
      ids(
        client,
        `delete from audit_events where id in (select id from kept_events order by xid desc, id desc limit $1) returning id::text as id`,
        [1 + context.below(100)],
      ),
  },
  {
    name: 'removing a batch from the middle',
    apply: async (client, context) => {
      const [last] = (await client.query<{ seq: number }>('select max(seq)::int as seq from audit_batches')).rows;
      const gone = await ids(
        client,
        `with gone as (delete from audit_batches where seq = $1 returning ids) select unnest(ids)::text as id from gone`,
        [1 + context.below(last!.seq)],
      );
      await client.query('delete from audit_events where id = any($1::bigint[])', [gone]);
      return gone;
    },
  },
  {
    name: 'putting in',
    apply: async (client, context) => {
      const [beside] = await someIds(client, context, 1);
      const forged = String(10_000_000 + context.below(1_000_000));
      await client.query(
        `insert into audit_events (id, xid, occurred_at, actor_role, action) overriding system value
         select $1, xid, occurred_at, 'ADMIN', 'chat.forged' from kept_events where id = (
           select id from kept_events where (xid, id) < (select last_xid, last_id from audit_batches order by seq desc limit 1)
             and id >= $2 order by id limit 1)`,
        [forged, Math.min(Number(beside), 1000)],
      );
      return [forged];
    },
  },
  {
    name: 'editing, with the hash adapted',
    apply: async (client, context) => {
      const [row] = await someIds(client, context, 1);
      await client.query(`update audit_events set action = 'chat.forged' where id = $1`, [row]);
      await client.query(
        `update audit_batches set leaves = overlay(leaves placing sha256($2::bytea) from 32 * (array_position(ids, $1::bigint) - 1) + 1 for 32)
         where $1::bigint = any(ids)`,
        [row, 'forged'],
      );
      return [row!];
    },
  },
];
