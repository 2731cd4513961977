-- The ground that every context stands on: times as the API writes them, the trigger behind
-- `updated_at` and `version`, the audit log and the outbox.

create function iso8601(moment timestamptz) returns text
  language sql stable parallel safe
  return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
comment on function iso8601 is 'A time as the API writes it: UTC, milliseconds, Z.';

create function touch_row() returns trigger
  language plpgsql
as $$
begin
  if new.created_at is distinct from old.created_at then
    raise exception 'created_at of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
  end if;
  new.updated_at := now();
  new.version := old.version + 1;
  return new;
end
$$;
comment on function touch_row is 'Before every update: created_at stays, updated_at and version move. Raw SQL is covered too.';

create table audit_events (
  id bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  occurred_at timestamptz(3) not null default now(),
  actor_id uuid,
  actor_role text not null check (actor_role in ('STUDENT', 'TEACHER', 'ADMIN', 'OPS', 'DPO', 'SYSTEM')),
  learner_id uuid,
  action text not null check (action ~ '^[a-z-]+\.[a-z-]+$'),
  subject_id text,
  changed_fields text[] not null default '{}',
  request_id text
);
comment on table audit_events is 'One row for every command, written in its transaction. No foreign keys: it outlives the learner.';
-- serves: everything done about one learner, newest first (access report, erasure record)
create index audit_events_learner on audit_events (learner_id, id desc);
alter table audit_events enable row level security;
alter table audit_events force row level security;
create policy audit_events_owner on audit_events to studently_owner using (true) with check (true);
create policy audit_events_append on audit_events for insert to studently_app, studently_worker with check (true);
create policy audit_events_read on audit_events for select to studently_worker using (true);
grant insert on audit_events to studently_app;
grant insert, select on audit_events to studently_worker;

create table outbox (
  id bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  topic text not null check (topic ~ '^[a-z-]+\.[a-z-]+$'),
  learner_id uuid,
  payload jsonb not null check (jsonb_typeof(payload) = 'object'),
  created_at timestamptz(3) not null default clock_timestamp(),
  attempts integer not null default 0 check (attempts >= 0),
  -- Until then it is left to the process that has committed it, which mostly has it done at once.
  available_at timestamptz(3) not null default clock_timestamp() + interval '500 milliseconds'
);
comment on table outbox is 'What must still happen elsewhere. The relay takes rows with SKIP LOCKED and deletes what is done.';
-- serves: the relay's "what may be taken now", oldest first
create index outbox_available on outbox (available_at, id);
alter table outbox enable row level security;
alter table outbox force row level security;
create policy outbox_owner on outbox to studently_owner using (true) with check (true);
create policy outbox_append on outbox for insert to studently_app with check (true);
create policy outbox_relay on outbox to studently_worker using (true) with check (true);
-- Only so that a command learns the id of the message that it has just written.
create policy outbox_own on outbox for select to studently_app using (xid = pg_current_xact_id());
grant insert, select (id, xid) on outbox to studently_app;
grant select, insert, update, delete on outbox to studently_worker;
