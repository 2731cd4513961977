create or replace function is_teacher(id uuid) returns boolean
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
  select exists (select from users u where u.id = is_teacher.id and u.role = 'TEACHER')
$$;
