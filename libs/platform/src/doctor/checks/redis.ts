import { RedisConnections } from '../../cache/redis-connections';
import { ConfigurationError, type Settings } from '../../config/config';
import { redisNodes } from '../../config/redis-addresses';
import { jobsUrlOf } from '../../jobs/jobs-redis';
import { inWords, type Check, type Finding } from '../check';
import { isLocal } from './connections';

const URLS = ['REDIS_URL', 'REDIS_SESSIONS_URL', 'REDIS_JOBS_URL'] as const;
type Name = (typeof URLS)[number];

/** Each Redis once, though several settings may lead to it. */
function serversOf(settings: Settings): Map<string, Name[]> {
  const servers = new Map<string, Name[]>();
  for (const name of URLS) {
    const url = settings[name];
    if (url) servers.set(url, [...(servers.get(url) ?? []), name]);
  }
  return servers;
}

/** Redis may be away, and everything goes on: what is told here makes it slower, or a danger to jobs. */
export const redis: Check = {
  name: 'redis',
  examine: async ({ settings }) => {
    const connections = new RedisConnections(settings);
    const found: Finding[] = [];
    try {
      for (const [url, names] of serversOf(settings)) found.push(...(await examineServer(connections, url, names, settings)));
    } finally {
      await connections.onApplicationShutdown();
    }
    return found;
  },
};

async function examineServer(
  connections: RedisConnections,
  url: string,
  names: Name[],
  settings: Settings,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const [name] = names as [Name];
  if (redisNodes(url).some(({ protocol, hostname }) => protocol === 'redis:' && !isLocal(hostname))) {
    found.push({
      severity: 'note',
      what: `${name} asks for no TLS: right where the network between is trusted.`,
      mend: `$ export ${name}=rediss://… REDIS_CA_FILE=/run/secrets/ca.crt   # deploy/redis/tls.conf`,
    });
  }
  const client = connections.to(url);
  let infos: Record<string, string>[];
  try {
    await connections.checkVersions();
    const sections = await Promise.all(client.nodes().map(async (node) => String(await node.send('INFO'))));
    infos = sections.map(fieldsOf);
  } catch (error) {
    const why = error instanceof ConfigurationError ? `${error.code}: ${error.message}` : 'no answer';
    const what = `Redis of ${name} is of no use (${why}): PostgreSQL answers everything.`;
    return [...found, { severity: 'critical', what, mend: `${cliOf(url)} ping` }];
  }
  const holdsJobs = jobsUrlOf(settings) === url;
  for (const info of infos) found.push(...judgeRedis(info, { name, cli: cliOf(url), holdsJobs }));
  return found;
}

const fieldsOf = (info: string): Record<string, string> =>
  Object.fromEntries([...info.matchAll(/^([a-z0-9_]+):(.*?)\r?$/gm)].map(([, name, value]) => [name!, value!]));

/** Without the login, which is a secret. Of a cluster the first node that is named. */
function cliOf(url: string): string {
  const { protocol, hostname, port } = redisNodes(url)[0]!;
  return `$ redis-cli -h ${hostname} -p ${port || 6379}${protocol === 'rediss:' ? ' --tls' : ''}`;
}

interface Of {
  name: string;
  cli: string;
  holdsJobs: boolean;
}

/** @param info the fields of INFO */
export function judgeRedis(info: Record<string, string>, { name, cli, holdsJobs }: Of): Finding[] {
  const found: (Finding | false)[] = [
    info['maxmemory'] === '0' && {
      severity: 'warning',
      what: `Redis of ${name} may take all of the machine's memory (maxmemory 0).`,
      mend: `${cli} config set maxmemory 256mb   # and in redis.conf`,
    },
    holdsJobs &&
      info['maxmemory_policy']?.startsWith('allkeys-') === true && {
        severity: 'warning',
        what: `Redis of ${name} carries jobs and evicts keys (${info['maxmemory_policy']}): jobs come late.`,
        mend: `${cli} config set maxmemory-policy noeviction   # or give jobs one of their own: REDIS_JOBS_URL`,
      },
    !holdsJobs &&
      info['maxmemory_policy'] === 'noeviction' && {
        severity: 'warning',
        what: `Redis of ${name} is full one day and refuses writes (noeviction), where it could forget what is old.`,
        mend: `${cli} config set maxmemory-policy volatile-lru   # and in redis.conf`,
      },
    info['rdb_last_bgsave_status'] === 'err' && {
      severity: 'critical',
      what: `Redis of ${name} could not save its data, and refuses writes.`,
      mend: `${cli} bgsave   # after making room on its disk`,
    },
    info['aof_last_write_status'] === 'err' && {
      severity: 'critical',
      what: `Redis of ${name} could not write its log, and refuses writes.`,
      mend: `${cli} bgrewriteaof   # after making room on its disk`,
    },
    info['role'] === 'slave' && {
      severity: 'critical',
      what: `Redis of ${name} is a replica: it takes no writes.`,
      mend: `${cli} replicaof no one   # or name its master, ${info['master_host']}:${info['master_port']}, in ${name}`,
    },
    Number(info['rejected_connections'] ?? 0) > 0 && {
      severity: 'note',
      what: `Redis of ${name} has turned away ${inWords(Number(info['rejected_connections']))} connections since its start.`,
      mend: `${cli} config get maxclients`,
    },
  ];
  return found.filter((finding) => finding !== false);
}
