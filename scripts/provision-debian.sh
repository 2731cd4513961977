#!/usr/bin/env bash
# Installs the servers that the tests start: PostgreSQL 15, pgvector 0.8.0, pg_repack, Redis 7, PgBouncer, pgBackRest, Patroni, etcd and
# HAProxy; and texts that they import.
# For Debian 12, as root. Safe to run again: what is present is left alone.
#
#   sudo scripts/provision-debian.sh
set -euo pipefail

PGVECTOR_VERSION=0.8.0
PGVECTOR_SHA256=867a2c328d4928a5a9d6f052cd3bc78c7d60228a9b914ad32aa3db88e9de27b0
PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config
CONTROL_FILE=/usr/share/postgresql/15/extension/vector.control
PACKAGES=(postgresql-15 postgresql-15-repack postgresql-server-dev-15 redis-server redis-tools pgbouncer pgbackrest make gcc libc6-dev dpkg-dev)
PACKAGES+=(patroni python3-etcd etcd-server etcd-client haproxy)
PACKAGES+=(dict-foldoc postgresql-doc-15 debian-faq python3.11-doc) # what is imported, and what search is judged by: docs/evaluation

if [[ $EUID -ne 0 ]]; then
  echo 'provision-debian.sh: run as root, for example: sudo scripts/provision-debian.sh' >&2
  exit 77
fi

missing=()
for package in "${PACKAGES[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "provision: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq -o DPkg::Lock::Timeout=300
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
fi
# These packages start a service, now and whenever the machine does. Tests start their own.
for package in "${missing[@]}"; do
  case $package in
    pgbouncer | patroni | haproxy) service=$package ;;
    etcd-server) service=etcd ;;
    *) continue ;;
  esac
  update-rc.d "$service" disable
  service "$service" stop >/dev/null 2>&1 || true # some do not start without a configuration, and then cannot be stopped
done

if grep -q "default_version = '$PGVECTOR_VERSION'" "$CONTROL_FILE" 2>/dev/null; then
  echo "provision: PostgreSQL $($PG_CONFIG --version | cut -d' ' -f2), pgvector $PGVECTOR_VERSION, $(redis-server --version | cut -d' ' -f3), $(pgbouncer --version | head -n 1) are here"
  exit 0
fi

# Bookworm has no pgvector. It is built from trixie's source package, with apt's state in a
# folder of its own, so that the machine's sources stay as they are.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$({ grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list.d /etc/apt/sources.list 2>/dev/null || true; } | sed -n '1s/ *$//p')
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/src"
echo "deb-src [signed-by=$keyring] ${mirror:?no Debian mirror in the sources of apt} trixie main" >"$work/trixie.list"
private_apt=(-qq -o Dir::Etc::sourcelist="$work/trixie.list" -o Dir::Etc::sourceparts=-
  -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
echo "provision: building pgvector $PGVECTOR_VERSION"
apt-get "${private_apt[@]}" update
(cd "$work/src" && apt-get "${private_apt[@]}" source --download-only pgvector)
tarball=$(find "$work/src" -name "pgvector_$PGVECTOR_VERSION.orig.tar.gz")
echo "$PGVECTOR_SHA256  ${tarball:?trixie no longer has pgvector $PGVECTOR_VERSION}" | sha256sum --check --quiet
tar -xzf "$tarball" -C "$work/src"
source_folder=$(find "$work/src" -mindepth 1 -maxdepth 1 -type d | head -n 1)
# OPTFLAGS: the binary must run on another processor than the one that built it.
make -C "$source_folder" --silent OPTFLAGS="" with_llvm=no PG_CONFIG="$PG_CONFIG"
make -C "$source_folder" --silent OPTFLAGS="" with_llvm=no PG_CONFIG="$PG_CONFIG" install >/dev/null
echo "provision: pgvector $PGVECTOR_VERSION installed"
