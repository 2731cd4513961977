import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiProcess } from '../../support/api-process';
import { HttpClient } from '../../support/http';
import { OpenAiServer } from '../../support/openai-server';
import { DATABASE, startApi, startServers, startWorker } from '../../support/platform';
import type { PostgresServer } from '../../support/servers';
import type { TortureContext } from '../harness/torture';

/** An API process; another one at the same place after it was killed. */
export interface Node {
  api: ApiProcess;
  readonly http: HttpClient;
}

/** Two API processes and a worker on one PostgreSQL and one Redis. Whoever is killed is started again at once. */
export class Stage {
  private coming: Promise<void> = Promise.resolve();

  private constructor(
    readonly context: TortureContext,
    public postgres: PostgresServer,
    readonly nodes: Node[],
    private worker: ApiProcess,
    readonly settings: NodeJS.ProcessEnv,
  ) {}

  static async open(context: TortureContext): Promise<Stage> {
    const servers = await startServers(context);
    const model = await context.use(
      () => OpenAiServer.start(),
      (server) => server.stop(),
    );
    const settings = {
      ...servers.settings,
      STUDENTLY_DATA_DIR: join(context.folder, 'data'), // the same keys for all of them
      EMBEDDINGS_PROVIDER: 'openai',
      EMBEDDINGS_URL: model.url,
      EMBEDDINGS_DIMENSIONS: '16',
    };
    const [one, other, worker] = await Promise.all([
      startApi(context, settings),
      startApi(context, settings),
      startWorker(context, settings),
    ]);
    const nodes = [one, other].map((api) => ({ api, http: new HttpClient(api.url) }));
    return new Stage(context, servers.postgres, nodes, worker, settings);
  }

  /** As the superuser. */
  get adminUrl(): string {
    return this.postgres.url(DATABASE);
  }

  async killNode(node: Node): Promise<void> {
    const { environment, port } = node.api;
    await node.api.stop('SIGKILL');
    this.coming = startApi(this.context, { ...environment, PORT: String(port) }).then((api) => void (node.api = api));
  }

  async killWorker(): Promise<void> {
    const { environment } = this.worker;
    await this.worker.stop('SIGKILL');
    this.coming = startWorker(this.context, environment).then((worker) => void (this.worker = worker));
  }

  /**
   * The postmaster alone, whose processes then end by themselves; all of them at once; or one of those that serve, after which the
   * postmaster ends and starts all others by itself.
   */
  async killPostgres(): Promise<void> {
    const { pid } = this.postgres;
    const processes = childrenOf(pid);
    const way = this.context.pick(['postmaster', 'all', 'one'] as const);
    const ending = way === 'one' ? undefined : this.postgres.stop('SIGKILL');
    if (way === 'one') while (!kill(this.context.pick(processes)));
    if (way === 'all') processes.forEach(kill);
    await ending;
    while (processes.some(isAlive)) await sleep(5); // until then they hold the shared memory
    if (way === 'one') return;
    this.coming = this.context
      .use(
        () => this.postgres.restart(),
        (server) => server.stop('SIGQUIT'),
      )
      .then((server) => void (this.postgres = server));
  }

  /** Until whoever was killed is there again. */
  revived(): Promise<void> {
    return this.coming;
  }
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);

/** @returns false if it has ended by itself */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

/** One that has ended and that nobody has asked for is none any more. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}
