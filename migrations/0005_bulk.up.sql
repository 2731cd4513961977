-- Which lines of a bulk request with a Batch-Id have been accepted, so that sending it again goes on where it stopped.

create table import_batches (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null,
  accepted_lines int4multirange not null default '{}',
  created_at timestamptz(3) not null default now(),
  primary key (user_id, id)
);
comment on column import_batches.id is 'The first half of the SHA-256 of the route and the Batch-Id.';
-- serves: forgetting what is older than 7 days
create index import_batches_age on import_batches (created_at);

alter table import_batches enable row level security;
alter table import_batches force row level security;
create policy import_batches_owner on import_batches to studently_owner using (true) with check (true);
create policy import_batches_self on import_batches to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
-- The platform itself removes what has expired, and sees no more than that.
create policy import_batches_expired on import_batches to studently_worker
  using (created_at < now() - interval '7 days') with check (false);
grant select, insert, update on import_batches to studently_app;
grant select (user_id, id, created_at), delete on import_batches to studently_worker;
