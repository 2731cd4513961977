drop view ai_chats_seed;
drop table chat_messages;
drop table chats;
