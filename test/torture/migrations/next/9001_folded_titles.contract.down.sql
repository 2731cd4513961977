-- step
alter table chats add column former_title text;
-- step
alter table chats add constraint chats_title_folded_there check (title_folded is not null) not valid;
-- step
alter table chats alter column title_folded drop not null;
