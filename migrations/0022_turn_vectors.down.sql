-- What no space but the serving one has is lost: messages are found by words until they are embedded anew.
alter table chat_turns add column embedding vector(1536), add column embedding_model text,
  add constraint chat_turns_embedding_has_model check ((embedding is null) = (embedding_model is null));
alter table chat_turns alter column embedding set storage external;
comment on column chat_turns.embedding is 'The normalised mean of its passages; null where there is no word that the model knows, or it could not be embedded.';
update chat_turns t set embedding = v.embedding, embedding_model = s.model
  from turn_vectors v join vector_spaces s using (space)
  where v.user_id = t.user_id and v.turn_id = t.id and s.state = 'serving';
drop table turn_vectors;
comment on column vector_spaces.reached_document is 'While it is filled: of all documents up to this one of this learner there is, or was, a job.';
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
  select most - count(*) into room from jobs where job = 'fill-document' and dead_at is null;
  if room <= 0 then return 0; end if;
  with next as materialized (
    select d.user_id, d.id, d.status = 'ready' and d.embedding_model <> 'client' as is_embedded from documents d
    where filled.reached_learner is null or (d.user_id, d.id) > (filled.reached_learner, filled.reached_document)
    order by d.user_id, d.id limit room
  ), left_behind as (
    insert into jobs (job, learner_id, subject_id) select 'fill-document', user_id, id::text from next where is_embedded
  )
  select count(*)::int as documents, (array_agg(user_id order by user_id desc, id desc))[1] as learner,
    (array_agg(id order by user_id desc, id desc))[1] as document
  into chunk from next;
  update vector_spaces set
    reached_learner = coalesce(chunk.learner, reached_learner), reached_document = coalesce(chunk.document, reached_document),
    is_reached = chunk.documents < room
  where space = filled.space;
  return chunk.documents;
end
$$;

comment on function leave_filling is 'Leaves jobs for the next documents that have no vectors in the space that is filled yet, so many waiting at most. Returns how many documents it went past.';
alter table vector_spaces drop column has_documents;
