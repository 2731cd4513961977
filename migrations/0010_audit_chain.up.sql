-- The audit log, by month and sealed: keyed hashes of changed values, partitions, batches of a signed hash chain.
-- In steps, so that commands are written meanwhile: what takes long holds no lock that they wait for, and what
-- holds one only changes the catalog. Interrupted, it starts again.
-- done when: select to_regclass('audit_batches') is not null
-- unsafe on purpose: renaming-table: the new table of the same name is there in the same moment
-- unsafe on purpose: takes-away: the new table of the same name has all of it
-- unsafe on purpose: constraint-missing-not-valid, adding-serial-primary-key-field: the column is new, and the table that gets the key is empty

-- step: left behind by a run that was interrupted
drop index concurrently if exists audit_events_moment;
-- step
-- serves: the key of a partition; the first partition takes it over
create unique index concurrently audit_events_moment on audit_events (occurred_at, id);
-- step
drop index concurrently if exists audit_events_order;
-- step
-- serves: sealing and verifying, in the order in which transactions began
create index concurrently audit_events_order on audit_events (xid, id);
-- step: what is there belongs to the months until the next one begins, and not within a day
alter table audit_events drop constraint if exists audit_events_first_months;
do $$
begin
  execute format(
    'alter table audit_events add constraint audit_events_first_months check (occurred_at < %L) not valid',
    (date_trunc('month', (now() + interval '1 day') at time zone 'UTC') + interval '1 month') at time zone 'UTC');
end
$$;
-- step: reads the whole table, beside those who write to it
alter table audit_events validate constraint audit_events_first_months;
-- step
create table audit_log (
  id uuid primary key default uuid_generate_v4(),
  monthly_from timestamptz(3) not null
);
comment on table audit_log is 'One row: which log this is. The first batch of the chain follows from it, and each anchor names it.';
alter table audit_log enable row level security;
alter table audit_log force row level security;
create policy audit_log_owner on audit_log to studently_owner using (true) with check (true);
create policy audit_log_read on audit_log for select to studently_worker using (true);
grant select on audit_log to studently_worker;
insert into audit_log (monthly_from)
  select (date_trunc('month', (now() + interval '1 day') at time zone 'UTC') + interval '1 month') at time zone 'UTC';

create table audit_batches (
  seq bigint primary key,
  first_xid xid8 not null,
  first_id bigint not null,
  last_xid xid8 not null,
  last_id bigint not null,
  events integer not null,
  ids bigint[] not null,
  leaves bytea not null,
  previous bytea not null,
  head bytea not null,
  sealed_at timestamptz(3) not null,
  key_id text not null,
  signature bytea not null,
  constraint audit_batches_complete check (events = cardinality(ids) and length(leaves) = 32 * events)
);
comment on table audit_batches is 'The hash chain over audit_events, in batches. Its heads are also kept outside, as anchors (docs/adr/0019).';
comment on column audit_batches.leaves is 'The SHA-256 of each event, in the order of ids; so a finding names the row.';
alter table audit_batches alter column leaves set storage external;
alter table audit_batches enable row level security;
alter table audit_batches force row level security;
create policy audit_batches_owner on audit_batches to studently_owner using (true) with check (true);
create policy audit_batches_seal on audit_batches for insert to studently_worker with check (true);
create policy audit_batches_read on audit_batches for select to studently_worker using (true);
grant select, insert on audit_batches to studently_worker;

lock table audit_events in access exclusive mode;
alter table audit_events rename to audit_events_before;
alter table audit_events_before add column changes jsonb;
alter table audit_events_before add constraint audit_events_changes_check check (jsonb_typeof(changes) = 'object');
comment on column audit_events_before.changes is 'Entity.field → keyed hashes of the value before and after.';
alter index audit_events_learner rename to audit_events_before_learner;
alter index audit_events_order rename to audit_events_before_order;
alter table audit_events_before drop constraint audit_events_pkey;
alter table audit_events_before add constraint audit_events_before_pkey primary key using index audit_events_moment;

create table audit_events (like audit_events_before including defaults including constraints including comments)
  partition by range (occurred_at);
alter table audit_events drop constraint audit_events_first_months;
-- By the sequence: the largest id could only be found by reading the whole table, whose key is gone by now.
do $$
declare
  first bigint;
begin
  execute format('select last_value + is_called::int from %s', pg_get_serial_sequence('audit_events_before', 'id')) into first;
  execute format('alter table audit_events alter column id add generated always as identity (start with %s)', first);
end
$$;
alter table audit_events_before alter column id drop identity;
alter table audit_events add constraint audit_events_pkey primary key (occurred_at, id);
comment on table audit_events is 'One row for every command, written in its transaction. No foreign keys: it outlives the learner.';
-- serves: everything done about one learner, newest first (access report, erasure record)
create index audit_events_learner on audit_events (learner_id, id desc);
-- serves: sealing and verifying, in the order in which transactions began
create index audit_events_order on audit_events (xid, id);
alter table audit_events enable row level security;
alter table audit_events force row level security;
create policy audit_events_owner on audit_events to studently_owner using (true) with check (true);
create policy audit_events_append on audit_events for insert to studently_app, studently_worker with check (true);
create policy audit_events_read on audit_events for select to studently_worker using (true);
-- A DPO may read what was done, and to whom.
create policy audit_events_dpo on audit_events for select to studently_app
  using (current_setting('app.role', true) = 'DPO');
grant insert, select on audit_events to studently_app;
grant insert, select on audit_events to studently_worker;

-- Nobody but the owner reaches a partition by its own name.
drop policy audit_events_owner on audit_events_before;
drop policy audit_events_append on audit_events_before;
drop policy audit_events_read on audit_events_before;
drop policy audit_events_dpo on audit_events_before;
create policy audit_events_before_owner on audit_events_before to studently_owner using (true) with check (true);
revoke all on audit_events_before from studently_app, studently_worker;
comment on table audit_events_before is 'What was there before the log was kept by month, and the rest of that month.';
do $$
begin
  execute format('alter table audit_events attach partition audit_events_before for values from (minvalue) to (%L)',
    (select monthly_from from audit_log));
end
$$;
alter table audit_events_before drop constraint audit_events_first_months;

create table audit_events_default (like audit_events including defaults including constraints including comments);
alter table audit_events_default enable row level security;
alter table audit_events_default force row level security;
create policy audit_events_default_owner on audit_events_default to studently_owner using (true) with check (true);
comment on table audit_events_default is 'Events of a month that has no partition yet: none is ever refused.';
alter table audit_events attach partition audit_events_default default;

create function prepare_audit_months() returns void
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
  first_day timestamp;
  first timestamptz;
  after timestamptz;
  name text;
begin
  if not pg_try_advisory_xact_lock(7382911) then return; end if; -- somebody else is at it
  for ahead in 0..2 loop
    first_day := date_trunc('month', now() at time zone 'UTC') + ahead * interval '1 month';
    first := first_day at time zone 'UTC';
    after := (first_day + interval '1 month') at time zone 'UTC';
    name := 'audit_events_' || to_char(first_day, 'YYYY_MM');
    continue when first < (select monthly_from from audit_log) or to_regclass('public.' || name) is not null;
    execute format('create table public.%I (like audit_events including defaults including constraints including comments)', name);
    execute format('alter table public.%I enable row level security', name);
    execute format('alter table public.%I force row level security', name);
    execute format('create policy %I on public.%I to studently_owner using (true) with check (true)', name || '_owner', name);
    -- What came before its month had a partition: attaching is refused while the default one holds it.
    execute format('with late as (delete from audit_events_default where occurred_at >= %L and occurred_at < %L returning *)
                    insert into public.%I select * from late', first, after, name);
    execute format('alter table audit_events attach partition public.%I for values from (%L) to (%L)', name, first, after);
  end loop;
end
$$;
comment on function prepare_audit_months is 'Makes the partitions of this month and the next two. Only the owner may, so it acts as such.';
revoke execute on function prepare_audit_months from public;
grant execute on function prepare_audit_months to studently_worker;
select prepare_audit_months();
