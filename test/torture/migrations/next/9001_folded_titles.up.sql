-- Titles of chats as they are searched: lower case, made once, when they are written. Also the release before writes them, by a trigger.

-- step
alter table chats add column title_folded text;
-- step
create function fold_title() returns trigger
  language plpgsql
as $$
begin
  new.title_folded := lower(new.title);
  return new;
end
$$;
create trigger chats_fold before insert or update on chats for each row execute function fold_title();
-- step: from now on no row comes in without
alter table chats add constraint chats_title_folded_there check (title_folded is not null) not valid;
-- step
create index concurrently if not exists chats_by_folded_title on chats (user_id, title_folded);
