-- step
drop index concurrently if exists chats_by_folded_title;
-- step
drop trigger chats_fold on chats;
drop function fold_title;
-- step
alter table chats drop column title_folded;
