-- What is sealed cannot be read without its column: it goes.

create or replace view ai_chats_seed with (security_invoker = true) as
select
  c.id,
  c.user_id,
  c.title,
  array(
    select jsonb_build_object('seq', m.seq, 'id', m.id, 'role', m.role, 'content', m.content,
                              'metadata', m.metadata, 'createdAt', iso8601(m.created_at))
    from chat_messages m where m.user_id = c.user_id and m.chat_id = c.id order by m.seq
  ) as messages,
  c.context_vector,
  c.created_at,
  c.updated_at
from chats c;

create or replace function touch_user() returns trigger
  language plpgsql
as $$
begin
  update users set updated_at = now() where id = coalesce(new.user_id, old.user_id);
  return null;
end
$$;

create or replace function touch_row() returns trigger
  language plpgsql
as $$
begin
  if new.created_at is distinct from old.created_at then
    raise exception 'created_at of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
  end if;
  new.updated_at := now();
  new.version := old.version + 1;
  return new;
end
$$;

drop function sealed_json;

delete from idempotency_keys where answer_sealed is not null;
alter table idempotency_keys drop column answer_sealed;

delete from document_passages where content is null;
alter table document_passages drop column lexemes_sealed, drop column content_sealed, alter column content set not null;

delete from documents where content is null;
alter table documents drop column content_sealed, alter column content set not null;

-- A chat whose messages are not all there is no chat: its sequence is dense.
delete from chats c where exists (
  select from chat_messages m where m.user_id = c.user_id and m.chat_id = c.id and m.content is null);
alter table chat_messages drop column content_sealed, alter column content set not null;

delete from profiles where first_name is null or last_name is null;
alter table profiles drop column last_name_sealed, drop column first_name_sealed,
  alter column last_name set not null, alter column first_name set not null;

drop table master_keys;
