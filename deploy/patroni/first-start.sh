#!/usr/bin/env bash
# What Patroni does once, with the first server of a new cluster (post_bootstrap): the database, its roles and extensions, its logins.
# Passwords from the environment, as logins.sh wants them.
#
#   first-start.sh 'dbname=postgres host=…'
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
database="$1 dbname=studently" # of two names the latter counts

psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname="$1" --command='create database studently'
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname="$database" --file="$root/migrations/bootstrap.sql"
POSTGRES_DB="$database" "$root/deploy/postgres/logins.sh"
