import { once, type EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Cluster } from 'ioredis';
import { createClient, type RedisClientType } from 'redis4';
import { ConfigurationError, SETTINGS, type Settings } from '../config/config';
import { redisNodes } from '../config/redis-addresses';
import { tlsAdvice, tlsFaultOf } from '../security/tls-faults';
import { tellOfNodes } from './cluster-log';
import { SingleRedis, type RedisClient } from './redis-client';
import { ClusterRedis, openCacheCluster } from './redis-cluster';
import { RedisLink } from './redis-link';

/** A start waits so long for Redis, to learn what it is. */
const FIRST_CONNECT_MS = 1000;

interface Connection<Driver extends EventEmitter> {
  readonly driver: Driver;
  readonly client: RedisClient;
  isReady(): boolean;
  /** What each server says of itself; nothing of one that is away. */
  describe(): Promise<unknown[]>;
  close(): unknown;
  fault?: Error;
}

/** The Redis connections of this process. They open in the background: a start does not wait for Redis. */
@Injectable()
export class RedisConnections implements OnApplicationShutdown {
  private readonly singles = new Map<string, Connection<RedisClientType>>();
  private readonly clusters = new Map<string, Connection<Cluster>>();

  constructor(@Inject(SETTINGS) private readonly settings: Settings) {}

  to(url: string): RedisClient {
    return (this.settings.REDIS_MODE === 'cluster' ? this.cluster(url) : this.single(url)).client;
  }

  /** The client itself, for what our stores do not ask. */
  toSingle(url: string): RedisClientType {
    return this.single(url).driver;
  }

  /** The same for a cluster. */
  toCluster(urls: string): Cluster {
    return this.cluster(urls).driver;
  }

  /**
   * A Redis that is away may come back; one that is not what was asked for will not, and is not gone on without.
   * @throws ConfigurationError `REDIS_TLS_…`, `REDIS_LOGIN_REFUSED`, `REDIS_MODE_WRONG`, or `REDIS_VERSION_UNSUPPORTED` below Redis 7
   */
  async checkVersions(): Promise<void> {
    for (const [url, connection] of [...this.singles, ...this.clusters]) {
      // Until it is known whether Redis is there; without it the start goes on.
      if (!connection.isReady()) {
        await Promise.race([once(connection.driver, 'ready'), sleep(FIRST_CONNECT_MS)]).catch(() => undefined);
      }
      if (!connection.isReady()) refuseWrongRedis(url, connection.fault);
      else this.refuseWrongServers(await connection.describe().catch(() => []));
    }
  }

  async onApplicationShutdown(): Promise<void> {
    const connections = [...this.singles.values(), ...this.clusters.values()];
    await Promise.allSettled(connections.map(async (connection) => connection.close()));
  }

  private single(url: string): Connection<RedisClientType> {
    let connection = this.singles.get(url);
    if (connection) return connection;
    const driver = createClient({
      url,
      disableOfflineQueue: true, // while Redis is away a command fails at once, and PostgreSQL answers
      socket: {
        connectTimeout: 500,
        reconnectStrategy: false, // the link opens another client
        ...(url.startsWith('rediss:') && { tls: true, ca: this.settings.REDIS_CA }),
      },
    }) as RedisClientType;
    const link = RedisLink.over(driver); // sees the first connection
    connection = {
      driver,
      client: new SingleRedis(driver),
      isReady: () => driver.isReady,
      describe: async () => [await driver.info('server')],
      close: () => link.close(),
    };
    this.singles.set(url, connection);
    driver.on('error', (error: Error) => (connection.fault = error));
    driver.connect().catch(() => undefined); // 'error' has told
    return connection;
  }

  private cluster(urls: string): Connection<Cluster> {
    let connection = this.clusters.get(urls);
    if (connection) return connection;
    const driver = openCacheCluster(urls, this.settings.REDIS_CA);
    const client = new ClusterRedis(driver);
    connection = {
      driver,
      client,
      isReady: () => driver.status === 'ready',
      describe: async () => Promise.all(client.nodes().map((node) => node.send('INFO', 'server'))),
      close: () => driver.disconnect(),
    };
    this.clusters.set(urls, connection);
    // 'error' says only that no node answers; and what was owed on a connection fails by its end, not by why it has ended.
    driver.on('node error', (error: Error) => {
      if (error.message !== 'Connection is closed.') connection.fault = error;
    });
    tellOfNodes(driver);
    return connection;
  }

  private refuseWrongServers(servers: unknown[]): void {
    for (const info of servers.map(String)) {
      const version = /redis_version:(\d+)\.(\S+)/.exec(info);
      if (version && Number(version[1]) < 7) {
        throw new ConfigurationError(
          'REDIS_VERSION_UNSUPPORTED',
          `Redis ${version[1]}.${version[2]} is too old: use Redis 7 (REDIS_URL, REDIS_SESSIONS_URL).`,
        );
      }
      if (this.settings.REDIS_MODE === 'single' && info.includes('redis_mode:cluster')) {
        throw new ConfigurationError('REDIS_MODE_WRONG', 'This Redis is a node of a cluster: set REDIS_MODE=cluster.');
      }
    }
  }
}

/** @throws ConfigurationError if the error says that it answers, but is not the right one or does not know us */
export function refuseWrongRedis(urls: string, error: Error | undefined): void {
  const addresses = redisNodes(urls).map(({ hostname, port }) => `${hostname}:${port || 6379}`);
  const server = `Redis at ${addresses.join(', ')}`;
  const fault = tlsFaultOf(error);
  if (fault) throw new ConfigurationError(`REDIS_TLS_${fault}`, tlsAdvice(fault, server, 'REDIS_CA_FILE'));
  if (error && /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH)/.test(error.message)) {
    throw new ConfigurationError(
      'REDIS_LOGIN_REFUSED',
      `${server} does not let us in: check the user, the password and the rights (deploy/redis) of REDIS_URL, REDIS_SESSIONS_URL, REDIS_JOBS_URL.`,
    );
  }
  if (error && error.message.includes('cluster support disabled')) {
    throw new ConfigurationError('REDIS_MODE_WRONG', `${server} is no cluster: leave out REDIS_MODE=cluster.`);
  }
}
