-- What a learner asked the AI and what it answered.

create table chats (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  title text not null check (length(title) between 1 and 200),
  message_count integer not null default 0 check (message_count >= 0),
  context_vector vector(1536),
  context_model text,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  version integer not null default 1,
  primary key (user_id, id),
  constraint chats_context_has_model check ((context_vector is null) = (context_model is null))
);
comment on column chats.message_count is 'Also the seq of the last message: the sequence is dense.';
-- serves: GET /v1/chats, one learner's chats, newest first; the fuzzy title filter rides on it
create index chats_newest on chats (user_id, created_at desc, id desc);
create trigger chats_touch before update on chats for each row execute function touch_row();

create table chat_messages (
  user_id uuid not null,
  id uuid not null default uuid_generate_v4(),
  chat_id uuid not null,
  seq integer not null check (seq >= 1),
  parent_seq integer,
  role text not null check (role in ('system', 'user', 'assistant', 'tool')),
  content text not null,
  metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz(3) not null default now(),
  primary key (user_id, id),
  -- serves: one chat's messages in order
  constraint chat_messages_dense unique (user_id, chat_id, seq),
  constraint chat_messages_chat foreign key (user_id, chat_id) references chats (user_id, id) on delete cascade,
  -- The sequence is dense and messages leave only with their chat, so a parent that is earlier is there.
  constraint chat_messages_parent check (parent_seq >= 1 and parent_seq < seq)
);

alter table chats enable row level security;
alter table chats force row level security;
create policy chats_owner on chats to studently_owner using (true) with check (true);
create policy chats_self on chats to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
grant select, insert, update, delete on chats to studently_app;

alter table chat_messages enable row level security;
alter table chat_messages force row level security;
create policy chat_messages_owner on chat_messages to studently_owner using (true) with check (true);
create policy chat_messages_self on chat_messages to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
-- A message never changes, and leaves only with its chat, by the cascade.
grant select, insert on chat_messages to studently_app;

-- The model as it was asked for: messages as one ordered array (docs/seed.md, `AIChat`).
create view ai_chats_seed with (security_invoker = true) as
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
grant select on ai_chats_seed to studently_app;
