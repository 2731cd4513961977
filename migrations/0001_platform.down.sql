drop table outbox;
drop table audit_events;
drop function touch_row;
drop function iso8601;
