-- step: reads the whole table, beside those who write to it
alter table chats validate constraint chats_title_folded_there;
-- step: reads nothing, as the constraint says it all
alter table chats alter column title_folded set not null;
-- step
alter table chats drop constraint chats_title_folded_there;
-- step: what neither this release nor the one before reads
alter table chats drop column if exists former_title;
