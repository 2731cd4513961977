drop trigger sessions_deleted on sessions;
drop trigger sessions_revoked on sessions;
drop function remember_revocation;
drop table revoked_sessions;
