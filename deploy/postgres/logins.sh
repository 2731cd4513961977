#!/usr/bin/env bash
# Makes the logins of a new database, once its roles are there (migrations/bootstrap.sql). None is a superuser.
#
#   studently           the API: owns nothing, and may only act as studently_app and studently_worker
#   studently_migrator  `studently migrate`: owns the database, and may act as studently_owner
#   studently_reader    people and dashboards: reads what studently_readonly may read, writes nothing
#
# Passwords from the environment: STUDENTLY_APP_PASSWORD, STUDENTLY_MIGRATOR_PASSWORD, STUDENTLY_READER_PASSWORD.
# Where psql connects: POSTGRES_USER and POSTGRES_DB, as the PostgreSQL image sets them, or libpq's own PG… variables.
set -euo pipefail

psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 \
  ${POSTGRES_USER:+--username="$POSTGRES_USER"} ${POSTGRES_DB:+--dbname="$POSTGRES_DB"} <<'SQL'
\getenv app STUDENTLY_APP_PASSWORD
\getenv migrator STUDENTLY_MIGRATOR_PASSWORD
\getenv reader STUDENTLY_READER_PASSWORD
set password_encryption = 'scram-sha-256';
set log_statement = 'none';

create role studently login noinherit nobypassrls password :'app';
grant studently_app, studently_worker to studently;

create role studently_migrator login nobypassrls password :'migrator';
grant studently_owner to studently_migrator;
select format('alter database %I owner to studently_migrator', current_database()) \gexec

create role studently_reader login nobypassrls password :'reader';
grant studently_readonly to studently_reader;
alter role studently_reader set default_transaction_read_only = on;
alter role studently_reader set statement_timeout = '30s';
SQL
