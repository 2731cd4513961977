-- step: left behind by a run that was interrupted
drop index concurrently if exists jobs_next;
-- step
-- serves: which jobs may be handed over, oldest first
create index concurrently jobs_next on jobs (job, available_at, id) where dead_at is null;
-- step
drop index concurrently if exists jobs_waiting;
-- step
alter table jobs reset (fillfactor);
