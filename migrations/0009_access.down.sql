drop policy profiles_teacher on profiles;
drop policy chat_messages_teacher on chat_messages;
drop policy chats_teacher on chats;
drop policy document_passages_teacher on document_passages;
drop policy documents_teacher on documents;
drop policy study_reviews_teacher on study_reviews;
drop policy study_items_teacher on study_items;
drop policy progress_teacher on progress;
revoke select (user_id, preferences) on profiles from studently_teacher;
revoke select on chat_messages, chats, document_passages, documents, study_reviews, study_items, progress from studently_teacher;
drop trigger users_forget_teacher on users;
drop function forget_teacher;
drop function is_teacher;
drop table grants;
drop policy subscriptions_service on subscriptions;
drop function find_service_key;
drop table service_keys;
drop table service_accounts;
drop policy audit_events_dpo on audit_events;
revoke select on audit_events from studently_app;
alter table audit_events drop column operation, drop column on_behalf_of;
comment on column audit_events.actor_id is null;
-- What a service account has done was done by the platform, as far as the release before this one knows.
update audit_events set actor_role = 'SYSTEM' where actor_role = 'SERVICE';
alter table audit_events drop constraint audit_events_actor_role_check;
alter table audit_events add constraint audit_events_actor_role_check
  check (actor_role in ('STUDENT', 'TEACHER', 'ADMIN', 'OPS', 'DPO', 'SYSTEM'));
