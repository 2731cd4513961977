-- What learners write is sealed: beside each readable column its sealed one. New rows have only that; older ones
-- are read as they are until `studently keys seal` has sealed them. Exactly one of the two is there.
-- unsafe on purpose: ban-drop-not-null, constraint-missing-not-valid, many-locks: it is of the time before the first installation in use

create table master_keys (
  id text primary key check (length(id) between 1 and 128),
  check_value bytea not null check (length(check_value) = 32)
);
comment on table master_keys is 'Tells a process at its start whether it has the keys that this database is sealed with. It holds no key.';
alter table master_keys enable row level security;
alter table master_keys force row level security;
create policy master_keys_owner on master_keys to studently_owner using (true) with check (true);
create policy master_keys_read on master_keys for select to studently_worker using (true);
create policy master_keys_append on master_keys for insert to studently_worker with check (true);
grant select, insert on master_keys to studently_worker;

alter table profiles alter column first_name drop not null, alter column last_name drop not null,
  add column first_name_sealed bytea, add column last_name_sealed bytea,
  add constraint profiles_first_name_once check (num_nonnulls(first_name, first_name_sealed) = 1),
  add constraint profiles_last_name_once check (num_nonnulls(last_name, last_name_sealed) = 1);

alter table chat_messages alter column content drop not null, add column content_sealed bytea,
  add constraint chat_messages_content_once check (num_nonnulls(content, content_sealed) = 1);

alter table documents alter column content drop not null, add column content_sealed bytea,
  add constraint documents_content_once check (num_nonnulls(content, content_sealed) = 1);

alter table document_passages alter column content drop not null, add column content_sealed bytea,
  add column lexemes_sealed tsvector,
  add constraint document_passages_content_once check (num_nonnulls(content, content_sealed) = 1),
  add constraint document_passages_lexemes_sealed check ((content_sealed is null) = (lexemes_sealed is null));
comment on column document_passages.lexemes_sealed is 'Its words at their positions, each as a keyed hash of its learner.';

-- An answer comes after its key is claimed, so that both may be missing.
alter table idempotency_keys add column answer_sealed bytea,
  add constraint idempotency_keys_answer_once check (num_nonnulls(answer, answer_sealed) <= 1);

create function sealed_json(place text, user_id uuid, id uuid, readable text, sealed bytea) returns json
  language sql immutable parallel safe
  return case when sealed is null then to_json(readable)
    else ('"\u0000' || place || ' ' || user_id || ' ' || id || ' ' || translate(encode(sealed, 'base64'), E'\n', '') || '"')::json
  end;
comment on function sealed_json is 'A sealed text inside a view, to be opened by the application; one that is not sealed yet as it is.';

-- Sealing a row changes nothing that a reader could see: its version stays.
create or replace function touch_row() returns trigger
  language plpgsql
as $$
begin
  if new.created_at is distinct from old.created_at then
    raise exception 'created_at of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
  end if;
  if current_user = 'studently_owner' and current_setting('app.sealing', true) = 'on' then
    return new;
  end if;
  new.updated_at := now();
  new.version := old.version + 1;
  return new;
end
$$;

create or replace function touch_user() returns trigger
  language plpgsql
as $$
begin
  if current_user = 'studently_owner' and current_setting('app.sealing', true) = 'on' then
    return null;
  end if;
  update users set updated_at = now() where id = coalesce(new.user_id, old.user_id);
  return null;
end
$$;

-- What is sealed the database cannot show; that it is there it says.
create or replace view ai_chats_seed with (security_invoker = true) as
select
  c.id,
  c.user_id,
  c.title,
  array(
    select jsonb_build_object('seq', m.seq, 'id', m.id, 'role', m.role, 'content', m.content, 'sealed', m.content is null,
                              'metadata', m.metadata, 'createdAt', iso8601(m.created_at))
    from chat_messages m where m.user_id = c.user_id and m.chat_id = c.id order by m.seq
  ) as messages,
  c.context_vector,
  c.created_at,
  c.updated_at
from chats c;
