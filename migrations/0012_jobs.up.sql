-- Work that a committed command leaves behind. The row is the work: whoever does it removes the row in the transaction of
-- the effect, so that both are there or neither. Redis only carries ids of it.
-- unsafe on purpose: ban-drop-table, many-locks: it is of the time before the first installation in use

create table jobs (
  id bigint generated always as identity primary key,
  job text not null check (job ~ '^[a-z]+(-[a-z]+)*$'),
  learner_id uuid,
  subject_id text not null check (length(subject_id) between 1 and 100),
  created_at timestamptz(3) not null default clock_timestamp(),
  attempts integer not null default 0 check (attempts >= 0),
  taken integer not null default 0 check (taken >= 0),
  available_at timestamptz(3) not null default now(),
  dead_at timestamptz(3),
  failure text check (failure ~ '^[A-Za-z][A-Za-z0-9_]{0,63}$'),
  constraint jobs_dead_says_why check (dead_at is null or failure is not null)
);
comment on table jobs is 'What must still be done: ids alone. A row ends with its effect, or stays as a dead letter.';
comment on column jobs.attempts is 'How often it was tried, but for what was not its own fault (an outage, an orderly end of the process).';
comment on column jobs.taken is 'How often it was taken; tells one delivery from the next.';
comment on column jobs.available_at is 'When it may be handed over. Handing over and working on it move this on, so that what is lost comes back.';
comment on column jobs.dead_at is 'It was given up, and waits for a person.';
comment on column jobs.failure is 'The code or the name of the latest error, never its message.';
-- serves: which jobs may be handed over, oldest first
create index jobs_next on jobs (job, available_at, id) where dead_at is null;
-- serves: studently jobs list
create index jobs_dead on jobs (id) where dead_at is not null;

alter table jobs enable row level security;
alter table jobs force row level security;
create policy jobs_owner on jobs to studently_owner using (true) with check (true);
create policy jobs_append on jobs for insert to studently_app with check (true);
-- A learner's job ends in a transaction that acts for the learner.
create policy jobs_find on jobs for select to studently_app
  using (learner_id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy jobs_finish on jobs for delete to studently_app
  using (learner_id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy jobs_worker on jobs to studently_worker using (true) with check (true);
grant insert, delete, select (id, learner_id) on jobs to studently_app;
grant select, insert, update, delete on jobs to studently_worker;

insert into jobs (job, learner_id, subject_id) select 'embed-document', user_id, id::text from embedding_jobs order by available_at, id;
drop table embedding_jobs;
