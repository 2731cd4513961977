delete from jobs where job = 'embed-chat';
drop table chat_turns;
drop trigger chats_touch on chats;
drop function touch_chat;
create trigger chats_touch before update on chats for each row execute function touch_row();
comment on column chats.context_vector is null;
alter table chats drop column embedded_count, drop column pinned_at, drop column archived_at;
