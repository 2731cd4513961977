-- Another model may take over: which one answers, and where it is.

alter table vector_spaces add column url text check (url ~ '^https?://');
comment on column vector_spaces.url is 'Of the endpoint that makes its vectors; null: as the settings say.';

create function serve_model(wanted text) returns text
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
      update vector_spaces set model = wanted, url = null where space = current.space returning * into current;
    end if;
  end if;
  return current.model;
end
$$;
comment on function serve_model is 'Has this model answer, as long as no vectors of another one do. Returns which one answers.';
revoke all on function serve_model from public;
grant execute on function serve_model to studently_worker;
