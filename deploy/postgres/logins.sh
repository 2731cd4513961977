#!/usr/bin/env bash
# Makes the logins of a new database, once its roles are there (migrations/bootstrap.sql). None is a superuser.
#
#   studently           the API: owns nothing, and may only act as studently_app and studently_worker. Its waits have an end also where a
#                       pooler does not pass on what the API asks for (deploy/pgbouncer)
#   studently_migrator  `studently migrate`, `studently doctor`: owns the database, may act as studently_owner, and sees all statistics
#   studently_reader    people and dashboards: reads what studently_readonly may read, writes nothing
#   studently_replicator  standbys, with STUDENTLY_REPLICATOR_PASSWORD alone: may copy the whole server, and nothing else
#
# A password is good for a year (STUDENTLY_PASSWORD_DAYS); the handbook says how to replace one without a pause.
# Passwords from the environment: STUDENTLY_APP_PASSWORD, STUDENTLY_MIGRATOR_PASSWORD, STUDENTLY_READER_PASSWORD.
# Where psql connects: POSTGRES_USER and POSTGRES_DB, as the PostgreSQL image sets them, or libpq's own PG… variables.
set -euo pipefail
export STUDENTLY_PASSWORD_DAYS=${STUDENTLY_PASSWORD_DAYS:-365}

psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 \
  ${POSTGRES_USER:+--username="$POSTGRES_USER"} ${POSTGRES_DB:+--dbname="$POSTGRES_DB"} <<'SQL'
\getenv app STUDENTLY_APP_PASSWORD
\getenv migrator STUDENTLY_MIGRATOR_PASSWORD
\getenv reader STUDENTLY_READER_PASSWORD
\getenv replicator STUDENTLY_REPLICATOR_PASSWORD
\getenv days STUDENTLY_PASSWORD_DAYS
set password_encryption = 'scram-sha-256';
set log_statement = 'none';

create role studently login noinherit nobypassrls password :'app';
grant studently_app, studently_worker to studently;
alter role studently set statement_timeout = '4s';
alter role studently set lock_timeout = '3s';
alter role studently set idle_in_transaction_session_timeout = '5s';

create role studently_migrator login nobypassrls password :'migrator';
grant studently_owner, pg_monitor to studently_migrator; -- who is in the way, how far replicas are, and what the doctor asks
select format('alter database %I owner to studently_migrator', current_database()) \gexec

create role studently_reader login nobypassrls password :'reader';
grant studently_readonly to studently_reader;
alter role studently_reader set default_transaction_read_only = on;
alter role studently_reader set statement_timeout = '30s';

\if :{?replicator}
create role studently_replicator login replication nobypassrls password :'replicator';
\endif

select format('alter role %I valid until %L', login, now() + make_interval(days => :days))
from unnest(array['studently', 'studently_migrator', 'studently_reader']) login \gexec
SQL
