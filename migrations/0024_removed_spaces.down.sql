-- The release before would let a space answer of which half is gone: it is filled anew, or removed once more.
update vector_spaces set state = 'filling', since = now(), is_reached = false, has_documents = false, reached_learner = null, reached_document = null
  where state = 'removing';
alter table vector_spaces drop constraint vector_spaces_state_check,
  add constraint vector_spaces_state_check check (state in ('supplied', 'filling', 'serving', 'retired'));

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

alter table vector_spaces alter column space drop identity;
