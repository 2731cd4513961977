-- How long statements take: those that took long, and how long they all took in each hour (docs/adr/0038). No learner's value is in any of it.

create table operations.slow_statements (
  id bigint generated always as identity primary key,
  at timestamptz(3) not null,
  request_id text check (length(request_id) <= 200),
  statement text not null check (statement ~ '^[0-9a-f]{16}$'),
  sql text not null,
  milliseconds integer not null check (milliseconds >= 0),
  outcome text not null check (outcome ~ '^[A-Za-z0-9_]{1,64}$'),
  plan jsonb
);
comment on table operations.slow_statements is 'The latest 10,000, for two weeks at most.';
comment on column operations.slow_statements.request_id is 'The X-Request-Id, or the job; null: the platform itself.';
-- serves: studently slow <request>
create index slow_statements_request on operations.slow_statements (request_id);
-- serves: studently slow <statement>
create index slow_statements_statement on operations.slow_statements (statement, id desc);

create table operations.statement_counters (
  statement text primary key check (statement ~ '^[0-9a-f]{16}$'),
  sql text not null,
  calls bigint not null,
  milliseconds double precision not null,
  counted_at timestamptz(3) not null
);
comment on table operations.statement_counters is 'What pg_stat_statements said last: what it says next is more by what happened since, or begins anew.';

create table operations.statement_hours (
  hour timestamptz(3) not null,
  statement text not null,
  calls bigint not null,
  milliseconds double precision not null,
  primary key (hour, statement)
);
comment on table operations.statement_hours is 'Five weeks of it.';

create function operations.count_statements(
  read_at timestamptz, statements text[], texts text[], called bigint[], took double precision[]
) returns void language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  lock table operations.statement_counters in share row exclusive mode;
  -- Somebody has counted what was read later.
  if exists (select from operations.statement_counters where counted_at >= read_at) then return; end if;
  insert into operations.statement_hours as h (hour, statement, calls, milliseconds)
    select date_trunc('hour', read_at), given.statement,
      given.calls - case when is_same then c.calls else 0 end, given.milliseconds - case when is_same then c.milliseconds else 0 end
    from unnest(statements, called, took) given (statement, calls, milliseconds)
      left join operations.statement_counters c using (statement),
      lateral (select c.calls <= given.calls and c.milliseconds <= given.milliseconds as is_same) s
    where is_same is not true or c.calls < given.calls
    on conflict (hour, statement) do update set calls = h.calls + excluded.calls, milliseconds = h.milliseconds + excluded.milliseconds;
  insert into operations.statement_counters (statement, sql, calls, milliseconds, counted_at)
    select statement, left(sql, 10000), calls, milliseconds, read_at from unnest(statements, texts, called, took) given (statement, sql, calls, milliseconds)
    on conflict (statement) do update set calls = excluded.calls, milliseconds = excluded.milliseconds, counted_at = excluded.counted_at;
  delete from operations.statement_hours where hour < read_at - interval '35 days';
  delete from operations.statement_counters where counted_at < read_at - interval '35 days';
  delete from operations.slow_statements where at < read_at - interval '14 days' or id <= (select max(id) - 10000 from operations.slow_statements);
end
$$;
comment on function operations.count_statements is 'Takes what pg_stat_statements said at `read_at` into the history, and forgets what is too old.';
revoke all on function operations.count_statements from public;

create table operations.maintenance_runs (
  id bigint generated always as identity primary key,
  began_at timestamptz(3) not null default clock_timestamp(),
  ended_at timestamptz(3),
  done jsonb
);
comment on table operations.maintenance_runs is 'Those of MAINTENANCE_WINDOW, one in each: 400 of them are kept.';

grant usage on schema operations to studently_worker;
grant execute on function operations.count_statements to studently_worker;
grant select, insert, update, delete on operations.slow_statements, operations.statement_counters, operations.statement_hours to studently_worker;
