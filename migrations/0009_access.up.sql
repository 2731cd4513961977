-- Who else than the learner may act or look: service accounts that act for one, teachers whom one has let look.
-- unsafe on purpose: constraint-missing-not-valid, many-locks: it is of the time before the first installation in use

-- A service account acts on somebody's behalf, and a read of a learner by anybody else says which one it was.
alter table audit_events drop constraint audit_events_actor_role_check;
alter table audit_events add constraint audit_events_actor_role_check
  check (actor_role in ('STUDENT', 'TEACHER', 'ADMIN', 'OPS', 'DPO', 'SERVICE', 'SYSTEM'));
alter table audit_events add column on_behalf_of uuid, add column operation text;
comment on column audit_events.actor_id is 'A user; for the role SERVICE a service account.';
comment on column audit_events.on_behalf_of is 'The learner whom a service account acted for.';
comment on column audit_events.operation is 'Of a read of a learner by somebody else: the operation of the API.';
-- A DPO may read what was done, and to whom.
create policy audit_events_dpo on audit_events for select to studently_app
  using (current_setting('app.role', true) = 'DPO');
grant select on audit_events to studently_app;

create table service_accounts (
  id uuid primary key default uuid_generate_v4(),
  name text not null check (length(name) between 1 and 100),
  scopes text[] not null check (cardinality(scopes) between 1 and 20),
  created_at timestamptz(3) not null default now(),
  constraint service_accounts_one_per_name unique (name)
);
comment on table service_accounts is 'Other parts of StudentlyAI. They own nothing; with the scope for it they act for a learner.';
-- serves: GET /v1/service-accounts, newest first
create index service_accounts_newest on service_accounts (created_at desc, id desc);

create table service_keys (
  account_id uuid not null references service_accounts (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  secret_hash bytea not null check (length(secret_hash) = 32),
  created_at timestamptz(3) not null default now(),
  expires_at timestamptz(3),
  primary key (account_id, id),
  constraint service_keys_lifetime check (expires_at > created_at)
);
comment on column service_keys.secret_hash is 'SHA-256 of the 256-bit secret in the key.';

alter table service_accounts enable row level security;
alter table service_accounts force row level security;
create policy service_accounts_owner on service_accounts to studently_owner using (true) with check (true);
create policy service_accounts_admin on service_accounts to studently_app
  using (current_setting('app.role', true) = 'ADMIN') with check (current_setting('app.role', true) = 'ADMIN');
grant select, insert, update, delete on service_accounts to studently_app;

alter table service_keys enable row level security;
alter table service_keys force row level security;
create policy service_keys_owner on service_keys to studently_owner using (true) with check (true);
create policy service_keys_admin on service_keys to studently_app
  using (current_setting('app.role', true) = 'ADMIN') with check (current_setting('app.role', true) = 'ADMIN');
-- A key never changes: it is made, and removed.
grant select, insert, delete on service_keys to studently_app;

-- Who sends a service key is nobody yet: of that one key it may learn what proves it.
create function find_service_key(account uuid, key uuid)
  returns table (secret_hash bytea, name text, scopes text[], expires_at timestamptz)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
  select k.secret_hash, a.name, a.scopes, k.expires_at
  from service_keys k join service_accounts a on a.id = k.account_id
  where k.account_id = account and k.id = key
$$;
comment on function find_service_key is 'What is needed to check one service key.';
revoke all on function find_service_key from public;
grant execute on function find_service_key to studently_app;

-- A subscription is written by an ADMIN, or by a service for the learner whom it acts for.
create policy subscriptions_service on subscriptions to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid and current_setting('app.role', true) = 'SERVICE')
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid and current_setting('app.role', true) = 'SERVICE');

create table grants (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  teacher_id uuid not null,
  scopes text[] not null check (cardinality(scopes) >= 1 and scopes <@ '{progress,study,documents,chats}'),
  created_at timestamptz(3) not null default now(),
  primary key (user_id, id),
  -- serves: the policies of studently_teacher
  constraint grants_one_per_teacher unique (user_id, teacher_id),
  constraint grants_to_somebody_else check (teacher_id <> user_id)
);
comment on table grants is 'What a learner lets a teacher read.';
comment on column grants.teacher_id is 'No foreign key, as it is another user''s: the trigger on users removes what is left of a teacher.';
-- serves: GET /v1/users/{id}/grants, newest first
create index grants_newest on grants (user_id, created_at desc, id desc);
-- serves: GET /v1/learners, newest first
create index grants_of_teacher on grants (teacher_id, created_at desc, id desc);

alter table grants enable row level security;
alter table grants force row level security;
create policy grants_owner on grants to studently_owner using (true) with check (true);
create policy grants_self on grants to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy grants_teacher on grants for select to studently_app, studently_teacher
  using (teacher_id = nullif(current_setting('app.user_id', true), '')::uuid
         and current_setting('app.role', true) = 'TEACHER');
-- A grant never changes: it is given, and withdrawn.
grant select, insert, delete on grants to studently_app;
grant select on grants to studently_teacher;

create function is_teacher(id uuid) returns boolean
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
  select exists (select from users u where u.id = is_teacher.id and u.role = 'TEACHER')
$$;
comment on function is_teacher is 'Whether somebody whom one wants to grant something is a teacher; nothing else of them.';
revoke all on function is_teacher from public;
grant execute on function is_teacher to studently_app;

create function forget_teacher() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
  delete from grants where teacher_id = old.id;
  return null;
end
$$;
comment on function forget_teacher is 'Whoever has the id of a deleted teacher next is granted nothing by that.';
revoke all on function forget_teacher from public;
create trigger users_forget_teacher after delete on users for each row execute function forget_teacher();

-- A teacher reads as a role of its own, which can do nothing but read what it was granted of app.learner_id. So the
-- learners' own policies stay as cheap as they are. Both conditions are about settings: they are looked at once a statement.
do $$
declare
  shared record;
begin
  for shared in
    select * from (values ('progress', 'progress'), ('study_items', 'study'), ('study_reviews', 'study'), ('documents', 'documents'),
                          ('document_passages', 'documents'), ('chats', 'chats'), ('chat_messages', 'chats')) t (name, scope)
  loop
    execute format($policy$
      create policy %1$s_teacher on %1$I for select to studently_teacher
        using (user_id = nullif(current_setting('app.learner_id', true), '')::uuid
          and exists (select from grants g
            where g.user_id = nullif(current_setting('app.learner_id', true), '')::uuid
              and g.teacher_id = nullif(current_setting('app.user_id', true), '')::uuid
              and %2$L = any (g.scopes)))$policy$, shared.name, shared.scope);
    execute format('grant select on %I to studently_teacher', shared.name);
  end loop;
end
$$;
-- Days begin where the learner is: of the profile a teacher may read that.
create policy profiles_teacher on profiles for select to studently_teacher
  using (user_id = nullif(current_setting('app.learner_id', true), '')::uuid
    and exists (select from grants g
      where g.user_id = nullif(current_setting('app.learner_id', true), '')::uuid
        and g.teacher_id = nullif(current_setting('app.user_id', true), '')::uuid));
grant select (user_id, preferences) on profiles to studently_teacher;
