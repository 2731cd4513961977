-- The vectors of messages lie in spaces, as those of passages do: another model takes over for chats as well (docs/adr/0032).
-- unsafe on purpose: ban-drop-column, scan-under-lock: it is of the time before the first installation in use

create table turn_vectors (
  user_id uuid not null,
  id uuid not null default uuid_generate_v4(),
  turn_id uuid not null,
  chat_id uuid not null,
  space smallint not null constraint turn_vectors_space references vector_spaces (space),
  embedding vector(1536) not null,
  primary key (user_id, id),
  -- serves: a message's vectors, when it leaves
  constraint turn_vectors_one unique (user_id, turn_id, space),
  constraint turn_vectors_turn foreign key (user_id, turn_id) references chat_turns (user_id, id) on delete cascade
);
comment on table turn_vectors is 'The normalised mean of a message''s passages. There is none where there is no word that the model knows; it is still found by its words.';
-- serves: one learner's vectors of a space, all of them or those of a chat
create index turn_vectors_chat on turn_vectors (user_id, space, chat_id);
alter table turn_vectors alter column embedding set storage external;

insert into turn_vectors (user_id, turn_id, chat_id, space, embedding)
  select t.user_id, t.id, t.chat_id, s.space, t.embedding from chat_turns t join vector_spaces s on s.model = t.embedding_model
  order by t.user_id;
alter table chat_turns drop column embedding, drop column embedding_model;

alter table turn_vectors enable row level security;
alter table turn_vectors force row level security;
create policy turn_vectors_owner on turn_vectors to studently_owner using (true) with check (true);
create policy turn_vectors_self on turn_vectors to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
grant select, insert on turn_vectors to studently_app;

-- step: chats are gone through after documents
alter table vector_spaces add column has_documents boolean not null default false;
comment on column vector_spaces.has_documents is 'While it is filled: every document has had its turn; what is reached from now on are chats.';
comment on column vector_spaces.reached_document is 'While it is filled: of all documents (chats, where it has them all) up to this one of this learner there is, or was, a job.';

create or replace function serve_model(wanted text) returns text
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
  current vector_spaces;
begin
  select * into current from vector_spaces where state = 'serving';
  if current.model <> wanted then
    lock table vector_spaces in exclusive mode; -- of processes that start together one decides
    select * into current from vector_spaces where state = 'serving';
    if current.model <> wanted and not exists (select from passage_vectors v where v.space = current.space)
      and not exists (select from turn_vectors v where v.space = current.space)
      and not exists (select from published_documents p where p.space = current.space)
      and not exists (select from vector_spaces where state in ('filling', 'retired')) then
      -- Whoever still embeds with the old model tries again, with the new one.
      update vector_spaces set model = wanted, url = null, since = now() where space = current.space returning * into current;
    end if;
  end if;
  return current.model;
end
$$;

create or replace function leave_filling(most integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
  filled vector_spaces;
  room integer;
  chunk record;
begin
  -- Who did not know of it yet when it was added has committed by now.
  select * into filled from vector_spaces
  where state = 'filling' and not is_reached and since < clock_timestamp() - interval '10 seconds'
  for update skip locked;
  if not found then return 0; end if;
  select most - count(*) into room from jobs where job in ('fill-document', 'fill-chat') and dead_at is null;
  if room <= 0 then return 0; end if;
  with documents_next as materialized (
    select d.user_id, d.id, d.status = 'ready' and d.embedding_model <> 'client' as is_embedded from documents d
    where not filled.has_documents
      and (filled.reached_learner is null or (d.user_id, d.id) > (filled.reached_learner, filled.reached_document))
    order by d.user_id, d.id limit room
  ), chats_next as materialized (
    select c.user_id, c.id, c.embedded_count > 0 as is_embedded from chats c
    where filled.has_documents
      and (filled.reached_learner is null or (c.user_id, c.id) > (filled.reached_learner, filled.reached_document))
    order by c.user_id, c.id limit room
  ), next as materialized (
    select 'fill-document' as job, * from documents_next union all select 'fill-chat', * from chats_next
  ), left_behind as (
    insert into jobs (job, learner_id, subject_id) select job, user_id, id::text from next where is_embedded
  )
  select count(*)::int as things, (array_agg(user_id order by user_id desc, id desc))[1] as learner,
    (array_agg(id order by user_id desc, id desc))[1] as thing
  into chunk from next;
  if chunk.things < room and not filled.has_documents then
    update vector_spaces set has_documents = true, reached_learner = null, reached_document = null where space = filled.space;
  else
    update vector_spaces set
      reached_learner = coalesce(chunk.learner, reached_learner), reached_document = coalesce(chunk.thing, reached_document),
      is_reached = chunk.things < room
    where space = filled.space;
  end if;
  return chunk.things;
end
$$;
comment on function leave_filling is 'Leaves jobs for the next documents, then chats, that have no vectors in the space that is filled yet, so many waiting at most. Returns how many it went past.';
