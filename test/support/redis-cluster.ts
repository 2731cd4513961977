import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isFree, REDIS, untilRedisIsReady } from './servers';

const DEPLOY = join(__dirname, '../../deploy/redis');

/** Below those that the kernel gives to whoever connects, and so are their bus ports, 10,000 above. */
const [LOWEST_PORT, HIGHEST_PORT] = [12_000, 22_000];

interface ClusterOptions {
  /** What the servers are started with beside deploy/redis. */
  serverOptions?: (port: number) => string[];
  /** What make-cluster.sh needs to reach them. */
  environment?: NodeJS.ProcessEnv;
}

/** Three masters and three replicas from this machine's redis-server, as deploy/redis has it for a served installation. */
export class RedisCluster {
  private readonly processes = new Map<number, ChildProcess>();
  private readonly folder = mkdtempSync(join(tmpdir(), 'studently-redis-cluster-'));

  private constructor(
    private readonly ports: number[],
    private readonly more: ClusterOptions,
  ) {}

  static async start(more: ClusterOptions = {}): Promise<RedisCluster> {
    const cluster = new RedisCluster(await sixPorts(), more);
    await Promise.all(cluster.ports.map((port) => cluster.startNode(port)));
    await cluster.untilComplete();
    return cluster;
  }

  /** REDIS_URL, with REDIS_MODE=cluster. */
  get url(): string {
    return this.addresses.map((address) => `redis://${address}`).join(',');
  }

  /** The port of the master that has this key, as the first node sees it that answers. */
  masterOf(key: string): number {
    const slot = Number(this.askAnyNode(['cluster', 'keyslot', key]));
    const has = (range: string) => {
      const [first, last = first] = range.split('-').map(Number);
      return slot >= first! && slot <= last!;
    };
    return this.nodes().find(({ isMaster, ranges }) => isMaster && ranges.some(has))!.port;
  }

  /** undefined while nodes change */
  replicaOf(master: number): number | undefined {
    const nodes = this.nodes();
    const { id } = nodes.find(({ port }) => port === master)!;
    return nodes.find(({ masterId }) => masterId === id)?.port;
  }

  private nodes() {
    const lines = this.askAnyNode(['cluster', 'nodes']).trim().split('\n');
    return lines.map((line) => {
      const [id, address, flags, masterId, , , , , ...ranges] = line.split(' ');
      return { id, port: Number(/:(\d+)@/.exec(address!)![1]), isMaster: flags!.includes('master'), masterId, ranges };
    });
  }

  private askAnyNode(words: string[]): string {
    for (const port of this.ports) {
      try {
        return execFileSync('redis-cli', ['-p', String(port), ...words], { encoding: 'utf8', timeout: 1000, stdio: 'pipe' });
      } catch {
        // It was killed, or hangs.
      }
    }
    throw new Error('No node answers');
  }

  private async startNode(port: number): Promise<void> {
    const folder = join(this.folder, String(port));
    mkdirSync(folder, { recursive: true });
    const config = [join(DEPLOY, 'redis.conf'), '--include', join(DEPLOY, 'cluster.conf')];
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...(this.more.serverOptions?.(port) ?? [])];
    const child = spawn(REDIS, [...config, ...own], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.processes.set(port, child);
    await untilRedisIsReady(child);
  }

  /** Kills a node, or makes it hang (SIGSTOP). */
  async signalNode(port: number, signal: NodeJS.Signals): Promise<void> {
    const child = this.processes.get(port)!;
    child.kill(signal);
    if (signal === 'SIGKILL') await once(child, 'exit');
  }

  /** Brings a node back that was killed or hangs, and waits until the cluster could lose another one. */
  async revive(port: number): Promise<void> {
    const child = this.processes.get(port)!;
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGCONT');
    else await this.startNode(port);
    await this.untilComplete();
  }

  async stop(): Promise<void> {
    const living = [...this.processes.values()].filter((child) => child.exitCode === null && child.signalCode === null);
    await Promise.all(living.map((child) => (child.kill('SIGKILL'), once(child, 'exit'))));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async untilComplete(): Promise<void> {
    await promisify(execFile)(join(DEPLOY, 'make-cluster.sh'), this.addresses, {
      env: { PATH: process.env['PATH'], ...this.more.environment },
      timeout: 30_000,
    });
  }

  get addresses(): string[] {
    return this.ports.map((port) => `127.0.0.1:${port}`);
  }
}

async function sixPorts(): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < 6) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
    if ((await isFree(port)) && (await isFree(port + 10_000))) ports.add(port);
  }
  return [...ports];
}
