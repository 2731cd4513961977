-- A user leaves with all that is theirs, however much it is: in portions, as a statement of a request has 4 s (docs/adr/0004).
create function remove_owned(learner uuid, most integer, inout reached regclass, inout last uuid)
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
  owned regclass;
  removed integer;
begin
  if learner is distinct from nullif(current_setting('app.user_id', true), '')::uuid
     and coalesce(current_setting('app.role', true), '') <> 'ADMIN' then
    raise exception 'only a user and an ADMIN remove what the user owns' using errcode = 'insufficient_privilege';
  end if;
  for owned in
    -- Whatever leaves with its user, and what leaves with that before it: so that no row takes others along.
    with recursive tables (id, depth) as (
      select conrelid, 1 from pg_constraint where confrelid = 'users'::regclass and confdeltype = 'c'
      union
      select c.conrelid, t.depth + 1 from tables t join pg_constraint c on c.confrelid = t.id and c.confdeltype = 'c'
    )
    select t.id from tables t
    where (select count(*) = 2 from pg_attribute a where a.attrelid = t.id and a.attname in ('user_id', 'id'))
    group by t.id order by max(t.depth) desc, t.id
  loop
    continue when reached is not null and owned <> reached;
    reached := null;
    -- By id, as what is gone already would be passed again and again.
    execute format('
      with portion as (select id from %1$s where user_id = $1 and ($2 is null or id > $2) order by id limit $3),
        gone as (delete from %1$s t using portion where t.user_id = $1 and t.id = portion.id)
      select count(*), (array_agg(id order by id desc))[1] from portion', owned)
      into removed, last using learner, last, most;
    if removed = most then
      reached := owned;
      return;
    end if;
    most := most - removed;
    last := null;
  end loop;
end
$$;
comment on function remove_owned is 'Removes some of what a user owns, from a place on; the place that it has reached, null at the end. For the user and an ADMIN.';
revoke all on function remove_owned from public;
grant execute on function remove_owned to studently_app;
