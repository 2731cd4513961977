-- Who a learner is. `users` is keyed and distributed by its own id, everything else by (user_id, id).

create table users (
  id uuid primary key default uuid_generate_v4(),
  email text not null check (length(email) between 3 and 254),
  password_hash text not null check (password_hash like '$argon2id$%'),
  role text not null default 'STUDENT' check (role in ('STUDENT', 'TEACHER', 'ADMIN', 'OPS', 'DPO')),
  session_epoch integer not null default 1 check (session_epoch >= 1),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  version integer not null default 1
);
comment on column users.session_epoch is 'Sessions of an earlier epoch have ended: it moves with the password and the role.';
-- serves: GET /v1/users, newest first; the policy lets ADMIN see them all
create index users_newest on users (created_at desc, id desc);
-- serves: GET /v1/users?role= and the lock behind "never without an ADMIN"
create index users_by_role on users (role, created_at desc, id desc);
create trigger users_touch before update on users for each row execute function touch_row();

create function guard_role() returns trigger
  language plpgsql
as $$
begin
  if current_user = 'studently_app'
     and coalesce(current_setting('app.role', true), '') <> 'ADMIN'
     and new.role is distinct from (case tg_op when 'INSERT' then 'STUDENT' else old.role end) then
    raise exception 'only an ADMIN gives roles' using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;
comment on function guard_role is 'The application gives a role other than STUDENT only while it acts for an ADMIN.';
create trigger users_guard_role before insert or update on users for each row execute function guard_role();

-- The one table that is unique over all learners (docs/adr/0004): an address belongs to one user.
create table user_emails (
  email text primary key check (email = lower(email)),
  user_id uuid not null references users (id) on delete cascade,
  constraint user_emails_one_per_user unique (user_id)
);
comment on table user_emails is 'Normalised e-mail addresses: NFC, trimmed, lower case.';

create table profiles (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  first_name text not null check (length(first_name) between 1 and 100),
  last_name text not null check (length(last_name) between 1 and 100),
  preferences jsonb not null default '{}' check (jsonb_typeof(preferences) = 'object'),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  version integer not null default 1,
  primary key (user_id, id),
  constraint profiles_one_per_user unique (user_id)
);

create table subscriptions (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  plan text not null check (length(plan) between 1 and 64),
  status text not null check (status in ('trialing', 'active', 'past_due', 'canceled', 'expired')),
  current_period_start timestamptz(3) not null,
  current_period_end timestamptz(3) not null,
  cancel_at_period_end boolean not null default false,
  external_ref text check (length(external_ref) between 1 and 255),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  version integer not null default 1,
  primary key (user_id, id),
  constraint subscriptions_one_per_user unique (user_id),
  constraint subscriptions_period check (current_period_end > current_period_start)
);

create table sessions (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  secret_hash bytea not null check (length(secret_hash) = 32),
  epoch integer not null,
  auth_level integer not null default 1 check (auth_level >= 1),
  ip_hash text not null,
  user_agent_hash text not null,
  created_at timestamptz(3) not null default now(),
  expires_at timestamptz(3) not null,
  revoked_at timestamptz(3),
  primary key (user_id, id),
  constraint sessions_lifetime check (expires_at > created_at)
);
comment on column sessions.secret_hash is 'SHA-256 of the 256-bit secret in the token.';
-- serves: removing what has expired
create index sessions_expiry on sessions (expires_at);
-- serves: GET /v1/sessions, newest first
create index sessions_newest on sessions (user_id, created_at desc, id desc);

create function touch_user() returns trigger
  language plpgsql
as $$
begin
  update users set updated_at = now() where id = coalesce(new.user_id, old.user_id);
  return null;
end
$$;
comment on function touch_user is 'A user''s version covers its parts: changing the profile or subscription moves it.';
create trigger profiles_touch before update on profiles for each row execute function touch_row();
create trigger profiles_touch_user after insert or update or delete on profiles for each row execute function touch_user();
create trigger subscriptions_touch before update on subscriptions for each row execute function touch_row();
create trigger subscriptions_touch_user after insert or update or delete on subscriptions
  for each row execute function touch_user();

alter table users enable row level security;
alter table users force row level security;
create policy users_owner on users to studently_owner using (true) with check (true);
create policy users_self on users to studently_app
  using (id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy users_admin on users to studently_app
  using (current_setting('app.role', true) = 'ADMIN') with check (current_setting('app.role', true) = 'ADMIN');
grant select, insert, update, delete on users to studently_app;

alter table user_emails enable row level security;
alter table user_emails force row level security;
create policy user_emails_owner on user_emails to studently_owner using (true) with check (true);
create policy user_emails_self on user_emails to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy user_emails_admin on user_emails to studently_app
  using (current_setting('app.role', true) = 'ADMIN') with check (current_setting('app.role', true) = 'ADMIN');
grant select, insert, update, delete on user_emails to studently_app;

alter table profiles enable row level security;
alter table profiles force row level security;
create policy profiles_owner on profiles to studently_owner using (true) with check (true);
create policy profiles_self on profiles to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy profiles_admin on profiles to studently_app
  using (current_setting('app.role', true) = 'ADMIN') with check (current_setting('app.role', true) = 'ADMIN');
grant select, insert, update, delete on profiles to studently_app;

alter table subscriptions enable row level security;
alter table subscriptions force row level security;
create policy subscriptions_owner on subscriptions to studently_owner using (true) with check (true);
create policy subscriptions_self on subscriptions for select to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy subscriptions_admin on subscriptions to studently_app
  using (current_setting('app.role', true) = 'ADMIN') with check (current_setting('app.role', true) = 'ADMIN');
grant select, insert, update, delete on subscriptions to studently_app;

alter table sessions enable row level security;
alter table sessions force row level security;
create policy sessions_owner on sessions to studently_owner using (true) with check (true);
create policy sessions_self on sessions to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
-- An ADMIN who changes a role or deletes a user ends that user's sessions.
create policy sessions_admin on sessions to studently_app
  using (current_setting('app.role', true) = 'ADMIN') with check (current_setting('app.role', true) = 'ADMIN');
-- The platform itself removes what has expired, and sees no more than that.
create policy sessions_expired on sessions to studently_worker
  using (expires_at < now()) with check (false);
grant select, insert, update, delete on sessions to studently_app;
grant select (user_id, id, expires_at), delete on sessions to studently_worker;

-- Nobody is logged in yet at login: this is the one thing that such a request may learn.
create function find_login(normalised_email text)
  returns table (user_id uuid, password_hash text, role text, session_epoch integer)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
  select u.id, u.password_hash, u.role, u.session_epoch
  from user_emails e join users u on u.id = e.user_id
  where e.email = normalised_email
$$;
comment on function find_login is 'What login needs to check a password. The only way past row-level security without a user.';
revoke all on function find_login from public;
grant execute on function find_login to studently_app;
