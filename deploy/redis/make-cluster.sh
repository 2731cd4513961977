#!/bin/sh
# Makes one cluster of six empty servers (redis.conf with cluster.conf), three masters with a replica each, and waits
# until it can lose one of them:  make-cluster.sh redis-1:6379 … redis-6:6379
# May run again: what is a cluster already is left as it is. Where a login and TLS are needed:
#   REDISCLI_AUTH=… REDIS_CLI_OPTIONS='--tls --cacert ca.crt' make-cluster.sh …
set -eu

redis_cli() {
  # shellcheck disable=SC2086 # each option is a word
  redis-cli ${REDIS_CLI_OPTIONS:-} "$@"
}

ask() {
  redis_cli -h "${node%:*}" -p "${node##*:}" "$@" | tr -d '\r'
}

addresses=
for node in "$@"; do
  until [ "$(ask ping 2>/dev/null)" = PONG ]; do sleep 0.1; done
  # Nodes know each other by address, not by name.
  addresses="$addresses $(getent ahostsv4 "${node%:*}" | awk 'NR == 1 { print $1 }'):${node##*:}"
done

if ! ask cluster info | grep -q cluster_slots_ok:16384; then
  # shellcheck disable=SC2086 # one word for each address
  redis_cli --cluster create $addresses --cluster-replicas 1 --cluster-yes >/dev/null
fi

is_ready() {
  ask cluster info | grep -q cluster_state:ok && ! ask info replication | grep -q master_link_status:down
}
for node in "$@"; do
  until is_ready; do sleep 0.1; done
done
