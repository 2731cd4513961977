drop function find_login;
drop table sessions;
drop table subscriptions;
drop table profiles;
drop table user_emails;
drop table users;
drop function touch_user;
drop function guard_role;
