drop function own_events;
create index audit_events_learner on audit_events (learner_id, id desc);
drop index audit_events_news;
