-- unsafe on purpose: many-locks: the torture has to find it
alter table chats add column planted text;
select pg_sleep(1.5);
