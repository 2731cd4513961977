create table embedding_jobs (
  user_id uuid not null,
  id uuid not null,
  attempts integer not null default 0 check (attempts >= 0),
  available_at timestamptz(3) not null default clock_timestamp(),
  primary key (user_id, id),
  constraint embedding_jobs_document foreign key (user_id, id) references documents (user_id, id) on delete cascade
);
comment on table embedding_jobs is 'Documents that must be embedded: ids alone, as a worker takes them before it acts for their learner.';
comment on column embedding_jobs.available_at is 'When it may be taken. Who has taken it moves this on, and may go on as long as nobody else has.';
create index embedding_jobs_next on embedding_jobs (available_at, user_id, id);

insert into embedding_jobs (user_id, id) select user_id, id from documents where status = 'pending';

alter table embedding_jobs enable row level security;
alter table embedding_jobs force row level security;
create policy embedding_jobs_owner on embedding_jobs to studently_owner using (true) with check (true);
create policy embedding_jobs_self on embedding_jobs to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy embedding_jobs_worker on embedding_jobs to studently_worker using (true) with check (true);
grant select, insert, update, delete on embedding_jobs to studently_app;
grant select, update, delete on embedding_jobs to studently_worker;

drop table jobs;
