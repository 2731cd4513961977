import { Cluster, Command, type ClusterOptions, type Redis, type RedisOptions } from 'ioredis';
import { redisNodes } from '../config/redis-addresses';
import './ioredis-sockets';
import type { RedisClient, RedisNode } from './redis-client';
import { within } from './redis-link';

const CONNECT_MS = 500;

/** A connection on which an answer is owed for so long is given up. */
const SILENT_MS = 500;

/** A master that hangs closes nothing and redirects nobody: who has its slots is asked for this often. */
const REFRESH_MS = 2000;

/** Connects to the cluster of these nodes, in the background. `nodeOptions` are of each connection. */
export function openCluster(urls: string, ca: string | undefined, options: ClusterOptions, nodeOptions: RedisOptions): Cluster {
  const nodes = redisNodes(urls);
  const { protocol, username, password } = nodes[0]!;
  const startup = nodes.map(({ hostname, port }) => ({
    host: hostname.replace(/^\[|\]$/g, ''), // IPv6
    port: Number(port) || 6379,
  }));
  const cluster = new Cluster(startup, {
    dnsLookup: (address, callback) => callback(null, address), // names stay names: they are what certificates have
    enableReadyCheck: false, // it asks a node that may still connect, and begins anew for that
    slotsRefreshTimeout: CONNECT_MS,
    slotsRefreshInterval: REFRESH_MS,
    clusterRetryStrategy: (attempt) => Math.min(50 * 2 ** attempt, 1000) + Math.random() * 50,
    ...options,
    redisOptions: {
      username: decodeURIComponent(username) || undefined,
      password: decodeURIComponent(password) || undefined,
      ...(protocol === 'rediss:' && { tls: { ca } }),
      connectTimeout: CONNECT_MS,
      ...nodeOptions,
    },
  });
  // Otherwise a node connects with the first command, and others are refused until it has.
  cluster.on('+node', (node: Redis) => void node.connect().catch(() => undefined));
  return cluster;
}

/** For whom PostgreSQL can do as well: what cannot be asked now is not asked later. */
export const AT_ONCE: ClusterOptions = {
  enableOfflineQueue: false,
  maxRedirections: 3, // a slot that moves: one MOVED, one ASK
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
};

export const openCacheCluster = (urls: string, ca?: string) => openCluster(urls, ca, AT_ONCE, { socketTimeout: SILENT_MS });

/**
 * A Redis Cluster by ioredis. redis 4, the client for one server, looks for the topology only when a node redirects it:
 * a master that is dead does not, and its slots stay lost (docs/adr/0025-redis-cluster.md).
 */
export class ClusterRedis implements RedisClient {
  readonly takesAnyKeys = false;
  /** Of masters, for as long as they are masters. */
  private readonly runs = new WeakMap<Redis, string>();

  constructor(private readonly cluster: Cluster) {
    cluster.on('refresh', () => this.meetMasters());
  }

  send(command: string, ...words: (string | Buffer)[]): Promise<unknown> {
    return within(this.cluster.callBuffer(command, ...words));
  }

  runOf(key: string): string | undefined {
    const [address] = this.cluster.slots[new Command('get', [key]).getSlot()] ?? [];
    const master = this.masters().get(address!);
    return master && this.runs.get(master);
  }

  nodes(): RedisNode[] {
    const connected = this.masters();
    const wanted = new Set(this.cluster.slots.map(([master]) => master!));
    if (wanted.size === 0) throw new Error('No node of the Redis Cluster is connected');
    return [...wanted].map((address) => {
      const node = connected.get(address);
      if (!node) throw new Error(`Redis ${address} is not connected`);
      return { send: (command, ...words) => within(node.callBuffer(command, ...words)) };
    });
  }

  private masters(): Map<string, Redis> {
    return new Map(this.cluster.nodes('master').map((node) => [addressOf(node), node]));
  }

  /** Nodes have changed, perhaps. A connection that is new belongs to a node that nobody has met. */
  private meetMasters(): void {
    for (const replica of this.cluster.nodes('slave')) this.runs.delete(replica);
    for (const master of this.cluster.nodes('master')) {
      if (!this.runs.has(master)) void this.meet(master).catch(() => undefined); // it is lost, or not there yet
    }
  }

  /**
   * A replica that takes over has not heard of everything, and so it is another run. It begins a history of replication of its own, which has another
   * name even where a server becomes master a second time.
   */
  private async meet(master: Redis): Promise<void> {
    const info = (await within(master.call('INFO', 'server', 'replication'))) as string;
    const [run, history] = [/^run_id:(\w{6})/m.exec(info)?.[1], /^master_replid:(\w{6})/m.exec(info)?.[1]];
    if (run && history && /^role:master/m.test(info)) this.runs.set(master, run + history);
  }
}

export const addressOf = ({ options }: Redis) => `${options.host}:${options.port}`;
