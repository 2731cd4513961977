-- The chain goes; the events stay, in one table again.
drop function prepare_audit_months;
drop table audit_batches;
drop table audit_log;
create table audit_events_single (like audit_events including defaults including constraints including comments);
insert into audit_events_single select * from audit_events;
drop table audit_events;
alter table audit_events_single rename to audit_events;
do $$
begin
  execute format('alter table audit_events alter column id add generated always as identity (start with %s)',
    (select coalesce(max(id), 0) + 1 from audit_events));
end
$$;
alter table audit_events drop column changes;
alter table audit_events add constraint audit_events_pkey primary key (id);
comment on table audit_events is 'One row for every command, written in its transaction. No foreign keys: it outlives the learner.';
create index audit_events_learner on audit_events (learner_id, id desc);
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
