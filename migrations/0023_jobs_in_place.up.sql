-- Handing over, taking and renewing a job move its lease on, three times in a job's short life. No index knows of the lease, and each page
-- has room for the next version of its rows, so that such an update stays on its page and enters no index (HOT:
-- https://www.postgresql.org/docs/15/storage-hot.html; docs/adr/0023). The release before orders by the lease: it sorts what waits.

-- step: left behind by a run that was interrupted
drop index concurrently if exists jobs_waiting;
-- step
-- serves: which jobs may be handed over, oldest first; it passes over those that are under way or wait for their next attempt
create index concurrently jobs_waiting on jobs (job, id) where dead_at is null;
-- step
drop index concurrently if exists jobs_next;
-- step
alter table jobs set (fillfactor = 50);
