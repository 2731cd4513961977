drop function has_replayed(pg_lsn, integer, interval);
drop function mark_of(pg_snapshot);
drop function current_timeline();
