-- What a database needs once, before its first migration: the roles (which belong to the whole
-- cluster) and the extensions. `studently migrate up` runs it every time; it changes nothing that
-- is already there. Where the migration login is not a superuser, a DBA runs this file once.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['studently_owner', 'studently_app', 'studently_teacher', 'studently_worker', 'studently_readonly'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin noinherit nobypassrls', wanted);
      exception when duplicate_object or unique_violation then
        null; -- another database of this cluster made it at the same moment
      end;
    end if;
  end loop;
end
$$;

create extension if not exists "uuid-ossp";
create extension if not exists vector;
create extension if not exists pg_trgm;
create extension if not exists pg_stat_statements;

-- Owns every table, sequence, view and function of the platform; the application never acts as it.
grant usage, create on schema public to studently_owner;
-- What is about the database itself, and of no learner.
do $$
begin
  if to_regnamespace('operations') is null then
    create schema operations authorization studently_owner;
  end if;
end
$$;
grant usage on schema public to studently_app, studently_teacher, studently_worker, studently_readonly;
-- Statistics without personal data, for people and dashboards.
do $$
begin
  if not pg_has_role('studently_readonly', 'pg_read_all_stats', 'member') then
    grant pg_read_all_stats to studently_readonly;
  end if;
end
$$;
-- The platform counts statements (studently slow). Whose login may not grant it is told by that command.
do $$
begin
  if not pg_has_role('studently_worker', 'pg_read_all_stats', 'member') then
    grant pg_read_all_stats to studently_worker;
  end if;
exception when insufficient_privilege then
  null;
end
$$;
-- Whoever may act as the application may act as a teacher who reads; neither has the other's rights.
do $$
begin
  if not pg_has_role('studently_app', 'studently_teacher', 'member') then
    grant studently_teacher to studently_app;
  end if;
end
$$;
