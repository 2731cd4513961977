-- What a passage stands under, where it ends, and what was embedded of it: so that a change asks the model for what is new alone.
-- unsafe on purpose: constraint-missing-not-valid: it is of the time before the first installation in use

alter table document_passages add column context_sealed bytea, add column ends_at integer, add column content_key bytea,
  add constraint document_passages_ends_at_check check (ends_at > starts_at),
  add constraint document_passages_content_key_check check (length(content_key) = 32);
comment on column document_passages.context_sealed is 'The headings that it stands under, one a line; null where there are none.';
comment on column document_passages.ends_at is 'As starts_at is counted. Null in older rows: there it is as long as its text.';
comment on column document_passages.content_key is 'A keyed hash of what was embedded; null where the client has brought the embedding.';

create table former_vectors (
  user_id uuid not null,
  id uuid not null default uuid_generate_v4(),
  document_id uuid not null,
  space smallint not null constraint former_vectors_space references vector_spaces (space) on delete cascade,
  content_key bytea not null check (length(content_key) = 32),
  embedding vector(1536) not null,
  primary key (user_id, id),
  -- serves: the vector of a passage that is in the document again
  constraint former_vectors_one unique (user_id, document_id, space, content_key),
  constraint former_vectors_document foreign key (user_id, document_id) references documents (user_id, id) on delete cascade
);
comment on table former_vectors is 'Of a document that has changed, until it is embedded anew: what its passages were. Nothing is found by them.';
alter table former_vectors alter column embedding set storage external;

alter table former_vectors enable row level security;
alter table former_vectors force row level security;
create policy former_vectors_owner on former_vectors to studently_owner using (true) with check (true);
create policy former_vectors_self on former_vectors to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
grant select, insert, delete on former_vectors to studently_app;
