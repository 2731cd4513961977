-- For an hour after a user was deleted nobody else is given the id: processes may hold their views and keys so long, and a registration that
-- was sent before may still arrive (docs/adr/0006).
create function let_id_rest() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  if exists (
    select from audit_events a
    where a.learner_id = new.id and a.action = 'user.deleted' and a.occurred_at > now() - interval '1 hour'
  ) then
    raise unique_violation using constraint = 'users_id_rests', message = 'The user who had this id was deleted within the last hour';
  end if;
  return null;
end
$$;
comment on function let_id_rest is 'Nobody is given the id of a user who was deleted within the last hour.';
revoke all on function let_id_rest from public;
-- step
-- After the insert: whoever waited for the deletion to end sees what it has written.
create trigger users_let_id_rest after insert on users for each row execute function let_id_rest();
