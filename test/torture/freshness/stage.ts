import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type RedisClientType } from 'redis4';
import type { ApiProcess } from '../../support/api-process';
import { HttpClient } from '../../support/http';
import { startApi, startServers } from '../../support/platform';
import { startStandby, type PostgresServer, type RedisServer } from '../../support/servers';
import { TcpProxy } from '../../support/tcp-proxy';
import type { TortureContext } from '../harness/torture';

/** One API process, and its own way to each server. */
export interface Node {
  api: ApiProcess;
  readonly http: HttpClient;
  readonly redis: TcpProxy;
  readonly postgres: TcpProxy;
  readonly replica: TcpProxy;
}

const portOf = (url: string, port: number) => Object.assign(new URL(url), { port }).href;

/** API processes on one PostgreSQL with a replica and one Redis, each of which can be cut off, killed and started again. */
export class Stage {
  private constructor(
    readonly context: TortureContext,
    readonly postgres: PostgresServer,
    public replica: PostgresServer,
    readonly nodes: Node[],
    /** What the processes talk to; another server after it was lost. */
    public redis: RedisServer,
    /** Our own way to it, for evictions. */
    readonly client: RedisClientType,
    private readonly dist?: string,
  ) {}

  /** @param dist where the processes are, if they are of another release */
  static async open(context: TortureContext, apis: number, settings: NodeJS.ProcessEnv = {}, dist?: string): Promise<Stage> {
    const servers = await startServers(context);
    const replica = await context.use(
      () => startStandby(servers.postgres, 'replica'),
      (server) => server.remove(),
    );
    const before = (port: number) =>
      context.use(
        () => TcpProxy.before(port),
        (proxy) => proxy.close(),
      );
    const start = async (): Promise<Node> => {
      const ways = await Promise.all([servers.redis.port, servers.postgres.port, replica.port].map(before));
      const [redis, postgres, toReplica] = ways as [TcpProxy, TcpProxy, TcpProxy];
      const ownWays = {
        STUDENTLY_DATA_DIR: join(context.folder, 'data'), // the same keys for all of them
        REDIS_URL: portOf(servers.redis.url, redis.port),
        DATABASE_URL: portOf(servers.settings['DATABASE_URL']!, postgres.port),
        DATABASE_REPLICA_URLS: portOf(servers.settings['DATABASE_URL']!, toReplica.port),
      };
      const api = await startApi(context, { ...servers.settings, ...settings, ...ownWays }, dist);
      return { api, http: new HttpClient(api.url), redis, postgres, replica: toReplica };
    };
    const nodes = await Promise.all(Array.from({ length: apis }, start));
    const client = createClient({ url: servers.redis.url, disableOfflineQueue: true }) as RedisClientType;
    client.on('error', () => undefined); // it is killed on purpose
    await context.use(
      () => client.connect(),
      () => client.disconnect(),
    );
    return new Stage(context, servers.postgres, replica, nodes, servers.redis, client, dist);
  }

  /** Until each process says that it reaches both servers. */
  async untilWell(nodes = this.nodes): Promise<void> {
    for (const { http } of nodes) await until('A process is well', async () => (await statusOf(http)) === 'ok');
  }

  async kill(node: Node): Promise<void> {
    await node.api.stop('SIGKILL');
  }

  async revive(node: Node, settings: NodeJS.ProcessEnv = {}): Promise<void> {
    const { environment, port } = node.api;
    node.api = await startApi(this.context, { ...environment, ...settings, PORT: String(port) }, this.dist);
  }

  /** From now on with these settings. */
  async restartWith(settings: NodeJS.ProcessEnv): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.kill(node).then(() => this.revive(node, settings))));
  }

  async killRedis(): Promise<void> {
    await this.redis.stop('SIGKILL');
  }

  /** It has forgotten everything. */
  async reviveRedis(): Promise<void> {
    this.redis = await this.context.use(
      () => this.redis.restart(),
      (redis) => redis.stop(),
    );
    await until('Redis is there', async () => this.client.isReady);
  }
}

async function statusOf(http: HttpClient): Promise<string> {
  try {
    const { body } = await http.get('/health/ready');
    return body.status;
  } catch {
    return 'away';
  }
}

const LONGEST_MS = 30_000;

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const started = performance.now();
  while (!(await holds())) {
    if (performance.now() - started > LONGEST_MS) throw new Error(`${what}: not within ${LONGEST_MS} ms`);
    await sleep(10);
  }
}
