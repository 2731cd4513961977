import { Logger } from '@nestjs/common';
import { Redis, type Cluster, type ClusterOptions, type RedisOptions } from 'ioredis';
import { AT_ONCE, openCluster } from '../cache/redis-cluster';
import { refuseWrongRedis } from '../cache/redis-connections';
import type { Settings } from '../config/config';
import { redisNodes } from '../config/redis-addresses';

/** Where jobs are handed over; undefined: in this process. */
export const jobsUrlOf = ({ REDIS_JOBS_URL, REDIS_URL }: Settings): string | undefined => REDIS_JOBS_URL ?? REDIS_URL;

/** A failover takes seconds; who has patience outlasts it. */
const OUTLAST_FAILOVER: ClusterOptions = { maxRedirections: 50, retryDelayOnFailover: 200, retryDelayOnClusterDown: 200 };

/**
 * A connection on which an answer is owed for so long is given up: whoever is in between may have forgotten it, and TCP takes a quarter of
 * an hour to notice. BullMQ waits for work for up to 10 s.
 */
const SILENT_MS = { impatient: 2500, patient: 12_000 };

/** BullMQ speaks ioredis. Every connection of its queues and workers is made here; they open in the background. */
export class JobsRedis {
  private readonly logger = new Logger(JobsRedis.name);
  private readonly connections: (Redis | Cluster)[] = [];
  private isTold = false;

  constructor(private readonly settings: Settings) {}

  /** For those who hand over: while Redis is away, or does not answer, a command fails. */
  impatient(): Redis | Cluster {
    return this.connect(AT_ONCE, { maxRetriesPerRequest: 0, commandTimeout: 2000, socketTimeout: SILENT_MS.impatient });
  }

  /** For those who wait for work: as long as it takes. */
  patient(): Redis | Cluster {
    return this.connect(OUTLAST_FAILOVER, { maxRetriesPerRequest: null, socketTimeout: SILENT_MS.patient });
  }

  /**
   * BullMQ's keys have no end: where memory is short, an eviction would take them (and they would be handed over again).
   * @returns what a person should know at the start; nothing of a Redis that is away
   * @throws ConfigurationError of one that is not what was asked for
   */
  async warnings(): Promise<string[]> {
    const url = redisNodes(jobsUrlOf(this.settings)!)[0]!.href;
    const connection = new Redis(url, { ...this.options(), retryStrategy: () => null, lazyConnect: true });
    let fault: Error | undefined;
    connection.on('error', (error) => (fault = error));
    try {
      await connection.connect();
      const policy = /maxmemory_policy:(\S+)/.exec(await connection.info('memory'))?.[1];
      if (policy === undefined || policy === 'noeviction') return [];
      return [
        `The Redis of the jobs evicts keys (${policy}): set its maxmemory-policy to noeviction, or give jobs one of their own (REDIS_JOBS_URL).`,
      ];
    } catch (error) {
      refuseWrongRedis(url, fault ?? (error as Error));
      return [];
    } finally {
      connection.disconnect();
    }
  }

  close(): void {
    for (const connection of this.connections) connection.disconnect();
  }

  private connect(inCluster: ClusterOptions, options: RedisOptions): Redis | Cluster {
    const { REDIS_MODE: mode, REDIS_CA: ca } = this.settings;
    const url = jobsUrlOf(this.settings)!;
    const { enableOfflineQueue } = inCluster;
    const connection =
      mode === 'cluster'
        ? openCluster(url, ca, inCluster, options)
        : new Redis(url, { ...this.options(), enableOfflineQueue, ...options });
    connection.on('error', (error: Error) => {
      if (!this.isTold) this.logger.warn(`The Redis of the jobs is not reachable; they wait in PostgreSQL: ${error.name}`);
      this.isTold = true;
    });
    connection.on('ready', () => {
      if (this.isTold) this.logger.log('The Redis of the jobs is back');
      this.isTold = false;
    });
    this.connections.push(connection);
    return connection;
  }

  private options(): RedisOptions {
    return {
      connectTimeout: 500,
      retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, 1000) + Math.random() * 50,
      ...(jobsUrlOf(this.settings)!.startsWith('rediss:') && { tls: { ca: this.settings.REDIS_CA } }),
    };
  }
}
