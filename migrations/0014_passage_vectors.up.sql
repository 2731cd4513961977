-- The vectors of passages, beside them and small where they are compared first (docs/adr/0029).
-- unsafe on purpose: ban-drop-column, scan-under-lock: it is of the time before the first installation in use

create table vector_spaces (
  space smallint primary key check (space >= 0),
  model text not null constraint vector_spaces_model unique check (length(model) between 1 and 200),
  state text not null check (state in ('supplied', 'filling', 'serving', 'retired')),
  constraint vector_spaces_one_serves exclude using btree (state with =) where (state = 'serving')
);
comment on table vector_spaces is 'Only vectors of one space can be compared: those that one model has made. Space 0 is of those that clients bring.';
insert into vector_spaces values (0, 'client', 'supplied'), (1, 'universal-sentence-encoder-lite', 'serving');
grant select on vector_spaces to studently_app, studently_worker;

create table passage_vectors (
  user_id uuid not null,
  id uuid not null default uuid_generate_v4(),
  passage_id uuid not null,
  document_id uuid not null,
  space smallint not null constraint passage_vectors_space references vector_spaces (space),
  signs bit(1536) generated always as (binary_quantize(embedding)::bit(1536)) stored,
  embedding vector(1536) not null,
  primary key (user_id, id),
  -- serves: a passage's vectors, when it leaves
  constraint passage_vectors_one unique (user_id, passage_id, space),
  constraint passage_vectors_passage foreign key (user_id, passage_id)
    references document_passages (user_id, id) on delete cascade
);
comment on table passage_vectors is 'A passage has none where there is no word that the model knows; it is still found by its words.';
comment on column passage_vectors.signs is 'Compared first: of two vectors the angle is about their share of different signs, times π.';
-- serves: one learner's vectors of a space, all of them
create index passage_vectors_learner on passage_vectors (user_id, space);
alter table passage_vectors alter column embedding set storage external;

insert into passage_vectors (user_id, passage_id, document_id, space, embedding)
  select p.user_id, p.id, p.document_id, s.space, p.embedding
  from document_passages p join vector_spaces s on s.model = p.embedding_model
  order by p.user_id;
alter table document_passages drop column embedding, drop column embedding_model;

alter table passage_vectors enable row level security;
alter table passage_vectors force row level security;
create policy passage_vectors_owner on passage_vectors to studently_owner using (true) with check (true);
create policy passage_vectors_self on passage_vectors to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
-- A vector never changes: a changed passage is another one.
grant select, insert, delete on passage_vectors to studently_app;
