-- Which sessions have ended before their time, so that every process hears of it from here, whatever has become of Redis.
-- unsafe on purpose: scan-under-lock: it is of the time before the first installation in use

create table revoked_sessions (
  id uuid primary key,
  expires_at timestamptz(3) not null,
  xid xid8 not null default pg_current_xact_id()
);
comment on table revoked_sessions is 'Ids of ended sessions, and of nobody: kept until the session would have expired.';
comment on column revoked_sessions.xid is 'Whoever has seen a snapshot asks for what it did not hold.';
-- serves: what has been committed since a snapshot, which each process asks several times a second
create index revoked_sessions_news on revoked_sessions (xid);
-- serves: removing what has expired
create index revoked_sessions_expiry on revoked_sessions (expires_at);

alter table revoked_sessions enable row level security;
alter table revoked_sessions force row level security;
create policy revoked_sessions_owner on revoked_sessions to studently_owner using (true) with check (true);
create policy revoked_sessions_worker on revoked_sessions to studently_worker using (true) with check (false);
grant select, delete on revoked_sessions to studently_worker;

-- As its owner, because nobody else writes here: neither a learner who logs out nor the cascade when one is deleted.
create function remember_revocation() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  if old.expires_at > now() then
    insert into revoked_sessions (id, expires_at) values (old.id, old.expires_at) on conflict do nothing;
  end if;
  return null;
end
$$;
comment on function remember_revocation is 'After the end of a session, by logout or with its user: its id is remembered.';
revoke all on function remember_revocation from public;
create trigger sessions_revoked after update of revoked_at on sessions for each row
  when (old.revoked_at is null and new.revoked_at is not null) execute function remember_revocation();
create trigger sessions_deleted after delete on sessions for each row execute function remember_revocation();

insert into revoked_sessions (id, expires_at)
  select id, expires_at from sessions where revoked_at is not null and expires_at > now()
  on conflict do nothing;
