-- Documents that somebody publishes to everybody: copies, in clear, which anybody who is logged in may search (docs/adr/0030).

alter table documents add column published_at timestamptz(3);
comment on column documents.published_at is 'When it was published last, as it was then; null: it is not.';

create table published_documents (
  user_id uuid not null,
  id uuid not null default uuid_generate_v4(),
  type text not null constraint published_documents_type references document_types (type),
  title text check (length(title) between 1 and 300),
  metadata jsonb not null check (jsonb_typeof(metadata) = 'object'),
  space smallint not null constraint published_documents_space references vector_spaces (space),
  vectors integer not null check (vectors >= 1),
  published_at timestamptz(3) not null default now(),
  primary key (user_id, id),
  constraint published_documents_document foreign key (user_id, id) references documents (user_id, id) on delete cascade
);
comment on table published_documents is 'What a document was when its owner published it. It leaves with the document.';
comment on column published_documents.vectors is 'Of its passages, all in `space`: so a search knows how many a filter lets through before it looks at one.';
-- serves: GET /v1/documents/shared, newest first
create index published_documents_newest on published_documents (published_at desc, id desc);
-- serves: the same of one type, and searches with a type
create index published_documents_of_type on published_documents (type, published_at desc, id desc);
-- serves: searches with metadata
create index published_documents_metadata on published_documents using gin (metadata jsonb_path_ops);

create table published_passages (
  user_id uuid not null,
  id uuid not null default uuid_generate_v4(),
  document_id uuid not null,
  ordinal integer not null check (ordinal >= 1),
  headings text,
  content text not null,
  starts_at integer not null check (starts_at >= 0),
  ends_at integer not null constraint published_passages_ends_at_check check (ends_at > starts_at),
  lexemes tsvector generated always as (
    to_tsvector('english', regexp_replace(left(coalesce(headings || E'\n', '') || content, 100000), '(\S{200})', '\1 ', 'g'))
  ) stored,
  space smallint constraint published_passages_space references vector_spaces (space),
  embedding halfvec(1536),
  signs bit(1536) generated always as (binary_quantize(embedding)::bit(1536)) stored,
  primary key (user_id, id),
  -- serves: one document's passages, also when they leave with it
  constraint published_passages_ordinal unique (user_id, document_id, ordinal),
  constraint published_passages_document foreign key (user_id, document_id)
    references published_documents (user_id, id) on delete cascade,
  constraint published_passages_embedding_has_space check ((embedding is null) = (space is null))
);
comment on column published_passages.id is 'That of the passage that it is a copy of.';
comment on column published_passages.headings is 'Those that it stands under, one a line; null where there are none.';
comment on column published_passages.embedding is 'One long; null where there is no word that the model knows.';
-- serves: the nearest of what a filter lets through, by their signs, which are all that is read of them
create index published_passages_signs on published_passages (user_id, document_id) include (space, id, signs);
-- serves: the nearest of very many
create index published_passages_nearest on published_passages using hnsw (embedding halfvec_cosine_ops);
-- serves: searches by words
create index published_passages_lexemes on published_passages using gin (lexemes);

-- Everybody reads, so that no condition of a policy stands before those of a search: otherwise no GIN index is used (docs/adr/0008).
alter table published_documents enable row level security;
alter table published_documents force row level security;
create policy published_documents_owner on published_documents to studently_owner using (true) with check (true);
create policy published_documents_read on published_documents for select to studently_app using (true);
create policy published_documents_publish on published_documents for insert to studently_app
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid
    and current_setting('app.role', true) in ('TEACHER', 'ADMIN', 'SERVICE'));
create policy published_documents_withdraw on published_documents for delete to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid
    and current_setting('app.role', true) in ('TEACHER', 'ADMIN', 'SERVICE'));
-- What is published never changes: it is published anew.
grant select, insert, delete on published_documents to studently_app;

alter table published_passages enable row level security;
alter table published_passages force row level security;
create policy published_passages_owner on published_passages to studently_owner using (true) with check (true);
create policy published_passages_read on published_passages for select to studently_app using (true);
create policy published_passages_publish on published_passages for insert to studently_app
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid
    and current_setting('app.role', true) in ('TEACHER', 'ADMIN', 'SERVICE'));
create policy published_passages_withdraw on published_passages for delete to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid
    and current_setting('app.role', true) in ('TEACHER', 'ADMIN', 'SERVICE'));
grant select, insert, delete on published_passages to studently_app;
