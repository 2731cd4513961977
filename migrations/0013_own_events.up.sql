-- What a learner may see of the audit log: what has happened to their own things, as GET /v1/events sends it
-- (docs/adr/0024). In steps, so that commands are written meanwhile. Interrupted, it starts again.
-- done when: select to_regclass('audit_events_learner') is null
-- unsafe on purpose: require-concurrent-index-creation: an index of the parent alone reads nothing
-- unsafe on purpose: require-concurrent-index-deletion, many-locks: an index of a partitioned table cannot be dropped concurrently

-- step
-- serves: what has happened to a learner's things since a snapshot, and everything done about one learner
create index if not exists audit_events_news on only audit_events (learner_id, xid, id);
-- step: left behind by a run that was interrupted
-- for each: select indexrelid::regclass::text from pg_index where not indisvalid and indexrelid::regclass::text like 'audit\_events\_%\_news'
drop index concurrently {};
-- step: beside those who write. A month that begins meanwhile brings its index along
-- for each: select p.inhrelid::regclass::text from pg_inherits p where p.inhparent = 'audit_events'::regclass and not exists (select from pg_inherits a join pg_index i on i.indexrelid = a.inhrelid where a.inhparent = 'audit_events_news'::regclass and i.indrelid = p.inhrelid)
create index concurrently if not exists {}_news on {} (learner_id, xid, id);
-- step
-- for each: select i.indexrelid::regclass::text from pg_index i where i.indexrelid::regclass::text like 'audit\_events\_%\_news' and not exists (select from pg_inherits where inhrelid = i.indexrelid)
alter index audit_events_news attach partition {};
-- step
create or replace function own_events(since pg_snapshot, until pg_snapshot, after bigint, most integer)
  returns table (id bigint, xid xid8, occurred_at timestamptz, action text, subject_id text, changed_fields text[])
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
  -- Everything that a snapshot does not show began after it (xmax) or was under way (xip): asked like this it is found by the
  -- index alone, also while a long transaction holds back the snapshot's xmin.
  with me as (
    select u.id, u.created_at from users u where u.id = nullif(current_setting('app.user_id', true), '')::uuid
  ), news as (
    select a.* from audit_events a where a.learner_id = (select me.id from me) and a.xid >= pg_snapshot_xmax(since)
    union all
    select a.* from audit_events a where a.learner_id = (select me.id from me) and a.xid = any (array(select pg_snapshot_xip(since)))
  )
  select n.id, n.xid, n.occurred_at, n.action, n.subject_id, n.changed_fields from news n
  where n.id > after and n.action <> 'learner.read'
    and n.occurred_at >= (select me.created_at from me) -- not what is left of somebody who had the id before
    and (until is null or pg_visible_in_snapshot(n.xid, until))
  order by n.id limit most
$$;
comment on function own_events is 'What has happened to the things of app.user_id since one snapshot, up to another: without who did it, and without who has read.';
revoke all on function own_events from public;
grant execute on function own_events to studently_app;
-- step: which the new one replaces
drop index audit_events_learner;
