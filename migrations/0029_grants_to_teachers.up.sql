-- Whoever is granted something stays until that is committed: a teacher who was just being deleted would have left it to whoever has the id next.
create or replace function is_teacher(id uuid) returns boolean
  language sql volatile security definer set search_path = pg_catalog, public, pg_temp
as $$
  select exists (select from users u where u.id = is_teacher.id and u.role = 'TEACHER' for key share)
$$;
