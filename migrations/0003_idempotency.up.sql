-- The first answer to a write that carried an Idempotency-Key, kept for 24 h.

create table idempotency_keys (
  user_id uuid not null references users (id) on delete cascade deferrable initially deferred,
  id uuid not null,
  fingerprint bytea not null check (length(fingerprint) = 32),
  answer text,
  answer_etag text,
  read_token text,
  existed boolean not null default false,
  created_at timestamptz(3) not null default now(),
  primary key (user_id, id)
);
comment on column idempotency_keys.id is 'The first half of the SHA-256 of the key; the key itself is not kept.';
comment on column idempotency_keys.fingerprint is 'HMAC-SHA-256 of method, route and body, under the key.';
comment on column idempotency_keys.user_id is 'Deferred: a registration claims its key before the user is there.';
-- serves: forgetting what is older than 24 h
create index idempotency_keys_age on idempotency_keys (created_at);

alter table idempotency_keys enable row level security;
alter table idempotency_keys force row level security;
create policy idempotency_keys_owner on idempotency_keys to studently_owner using (true) with check (true);
create policy idempotency_keys_self on idempotency_keys to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
-- The platform itself removes what has expired, and sees no more than that.
create policy idempotency_keys_expired on idempotency_keys to studently_worker
  using (created_at < now() - interval '24 hours') with check (false);
grant select, insert, update, delete on idempotency_keys to studently_app;
grant select (user_id, id, created_at), delete on idempotency_keys to studently_worker;
