-- Chats that branch, are put away and are found: what a learner has done with a chat, and what each message is found by.
-- unsafe on purpose: constraint-missing-not-valid, scan-under-lock, rows-in-migration: it is of the time before the first installation in use

alter table chats
  add column archived_at timestamptz(3),
  add column pinned_at timestamptz(3),
  add column embedded_count integer not null default 0,
  add constraint chats_no_more_embedded check (embedded_count >= 0 and embedded_count <= message_count);
comment on column chats.embedded_count is 'So many of its messages, from the first, have a turn by which they are found; a job makes those of the others.';
comment on column chats.context_vector is 'The normalised mean of its turns, or what the client has sent.';

-- What a job finds out about a chat is no change of it that a reader could see.
create function touch_chat() returns trigger
  language plpgsql
as $$
begin
  if new.created_at is distinct from old.created_at then
    raise exception 'created_at of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
  end if;
  if new.embedded_count > old.embedded_count and new.version = old.version then
    return new;
  end if;
  new.updated_at := now();
  new.version := old.version + 1;
  return new;
end
$$;
comment on function touch_chat is 'As touch_row, but the job that embeds messages leaves updated_at and version as they are.';
drop trigger chats_touch on chats;
create trigger chats_touch before update on chats for each row execute function touch_chat();

create table chat_turns (
  user_id uuid not null,
  id uuid not null,
  chat_id uuid not null,
  seq integer not null check (seq >= 1),
  lexemes_sealed tsvector not null,
  embedding vector(1536),
  embedding_model text,
  primary key (user_id, id),
  -- serves: what a chat is about, and its removal with the chat
  constraint chat_turns_dense unique (user_id, chat_id, seq),
  constraint chat_turns_chat foreign key (user_id, chat_id) references chats (user_id, id) on delete cascade,
  constraint chat_turns_embedding_has_model check ((embedding is null) = (embedding_model is null))
);
alter table chat_turns alter column embedding set storage external;
comment on table chat_turns is 'What a message is found by, made in the background. It can be made anew of the messages.';
comment on column chat_turns.id is 'Of the message.';
comment on column chat_turns.lexemes_sealed is 'Its words at their positions, each as a keyed hash of its learner.';
comment on column chat_turns.embedding is 'The normalised mean of its passages; null where there is no word that the model knows, or it could not be embedded.';

alter table chat_turns enable row level security;
alter table chat_turns force row level security;
create policy chat_turns_owner on chat_turns to studently_owner using (true) with check (true);
create policy chat_turns_self on chat_turns to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
-- A message never changes, so a turn does not either; it leaves only with its chat, by the cascade.
grant select, insert on chat_turns to studently_app;

-- Chats that are there already.
insert into jobs (job, learner_id, subject_id)
select 'embed-chat', user_id, id::text from chats where message_count > 0 order by updated_at desc;
