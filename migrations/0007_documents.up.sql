-- What a learner reads and writes, the passages that it is found by, and the queue of what must still be embedded.

create table document_types (
  type text primary key check (type ~ '^[a-z][a-z0-9-]{0,31}$')
);
comment on table document_types is 'The kinds of documents. A row more is a kind more, without a deploy.';
insert into document_types (type) values
  ('text'), ('markdown'), ('html'), ('pdf'), ('note'), ('article'), ('guide'), ('essay'), ('lecture'), ('transcript'),
  ('summary'), ('book'), ('reference'), ('web'), ('other');
grant select on document_types to studently_app;

create table documents (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  type text not null constraint documents_type references document_types (type),
  title text check (length(title) between 1 and 300),
  content text not null check (octet_length(content) between 1 and 1048576),
  metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
  embedding vector(1536),
  embedding_model text,
  status text not null default 'pending' check (status in ('pending', 'ready', 'failed')),
  failure text,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  version integer not null default 1,
  primary key (user_id, id),
  constraint documents_embedded check ((status = 'ready') = (embedding is not null)),
  constraint documents_embedding_has_model check ((embedding is null) = (embedding_model is null)),
  constraint documents_failed check ((status = 'failed') = (failure is not null))
);
comment on column documents.embedding is 'The normalised mean of its passages, or what the client supplied (model "client").';
comment on column documents.failure is 'A code that says why there is no embedding.';
-- serves: GET /v1/documents, newest first; the filters of the list and of searches ride on user_id
create index documents_newest on documents (user_id, created_at desc, id desc);
create trigger documents_touch before update on documents for each row execute function touch_row();

create table document_passages (
  user_id uuid not null,
  id uuid not null default uuid_generate_v4(),
  document_id uuid not null,
  ordinal integer not null check (ordinal >= 1),
  content text not null,
  starts_at integer not null check (starts_at >= 0),
  embedding vector(1536),
  embedding_model text,
  -- A supplied embedding makes the whole document one passage: a tsvector holds 1 MB at most, and the parser's time
  -- grows with the square of a run without a space.
  lexemes tsvector generated always as (
    to_tsvector('english', regexp_replace(left(content, 100000), '(\S{200})', '\1 ', 'g'))
  ) stored,
  primary key (user_id, id),
  -- serves: one document's passages in order, and how many there are
  constraint document_passages_ordinal unique (user_id, document_id, ordinal),
  constraint document_passages_document foreign key (user_id, document_id)
    references documents (user_id, id) on delete cascade,
  constraint document_passages_embedding_has_model check ((embedding is null) = (embedding_model is null))
);
comment on column document_passages.starts_at is 'Where it begins in the document, in UTF-16 code units, as JavaScript counts.';
comment on column document_passages.embedding is 'Null where there is no word that the model knows; the passage is still found by its words.';

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
-- serves: which document comes next
create index embedding_jobs_next on embedding_jobs (available_at, user_id, id);

alter table documents enable row level security;
alter table documents force row level security;
create policy documents_owner on documents to studently_owner using (true) with check (true);
create policy documents_self on documents to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
grant select, insert, update, delete on documents to studently_app;

alter table document_passages enable row level security;
alter table document_passages force row level security;
create policy document_passages_owner on document_passages to studently_owner using (true) with check (true);
create policy document_passages_self on document_passages to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
-- A passage never changes: a changed document is cut anew.
grant select, insert, delete on document_passages to studently_app;

alter table embedding_jobs enable row level security;
alter table embedding_jobs force row level security;
create policy embedding_jobs_owner on embedding_jobs to studently_owner using (true) with check (true);
create policy embedding_jobs_self on embedding_jobs to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
create policy embedding_jobs_worker on embedding_jobs to studently_worker using (true) with check (true);
grant select, insert, update, delete on embedding_jobs to studently_app;
grant select, update, delete on embedding_jobs to studently_worker;
