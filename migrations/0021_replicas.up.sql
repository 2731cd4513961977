-- Reads from replicas (docs/adr/0039): what a server has to tell about itself.

create function current_timeline() returns integer
  language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
  if pg_is_in_recovery() then
    return (select greatest(c.timeline_id, r.min_recovery_end_timeline) from pg_control_checkpoint() c, pg_control_recovery() r);
  end if;
  return ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
end
$$;
comment on function current_timeline is 'Which history of the database this server writes or follows: a promoted standby begins another one. A standby may tell it late.';

create function mark_of(snapshot pg_snapshot) returns text
  language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
  -- A standby's snapshot does not name the transactions that are running: sure are only those before the first of them.
  if pg_is_in_recovery() then
    return public.current_timeline() || '/' || pg_snapshot_xmin(snapshot) || ':' || pg_snapshot_xmin(snapshot) || ':';
  end if;
  return public.current_timeline() || '/' || snapshot;
end
$$;
comment on function mark_of is 'What a view is to be kept with that was read in this snapshot of this server: read tokens are compared with it.';

create function has_replayed(needed pg_lsn, timeline integer, patience interval) returns boolean
  language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
  until timestamptz := clock_timestamp() + patience;
begin
  if not pg_is_in_recovery() or public.current_timeline() <> timeline then return false; end if;
  while pg_last_wal_replay_lsn() < needed loop
    if clock_timestamp() > until then return false; end if;
    perform pg_sleep(0.0005);
  end loop;
  return true;
end
$$;
comment on function has_replayed is 'Whether this server is a standby on that timeline and has replayed so much, or does so within a while.';
