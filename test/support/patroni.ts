import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, closeSync, cpSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  controlled,
  ETCD,
  freePort,
  HAPROXY,
  PATRONI,
  postgresOwner,
  temporaryFolder,
  withClient,
  type Server,
} from './servers';
import type { Workspace } from './workspace';

const ROOT = join(__dirname, '../..');
/** Where the files of this project are on a server, as deploy/patroni/patroni.yml has it. */
const INSTALLED = '/opt/studently';
const FIRST_START = ['deploy/patroni/first-start.sh', 'deploy/postgres/logins.sh', 'migrations/bootstrap.sql'];
const NODES = 3;
const LONGEST_MS = 120_000;

const newPassword = () => randomBytes(12).toString('hex');

/** As Patroni tells it (GET /cluster). */
export interface Member {
  name: string;
  role: 'leader' | 'sync_standby' | 'replica';
  state: string;
  timeline?: number;
}

/** Of HAProxy: what leads to the primary, and what to the others. */
interface Ports {
  primary: number;
  standbys: number;
}

/** Three PostgreSQL servers that stand in for each other by deploy/patroni, and deploy/haproxy in front of them. */
export class PatroniCluster {
  private constructor(
    readonly nodes: readonly PatroniNode[],
    private readonly ports: Ports,
    private readonly passwords: Record<'postgres' | Login, string>,
  ) {}

  static async start(workspace: Workspace): Promise<PatroniCluster> {
    const etcd = await workspace.use(startEtcd, (server) => server.stop('SIGKILL'));
    const passwords = {
      postgres: newPassword(),
      studently: newPassword(),
      studently_migrator: newPassword(),
      studently_reader: newPassword(),
    };
    const common = {
      PATH: '/usr/lib/postgresql/15/bin:/usr/bin:/bin',
      PATRONI_ETCD_HOSTS: `127.0.0.1:${etcd.port}`,
      PATRONI_SUPERUSER_USERNAME: 'postgres',
      PATRONI_SUPERUSER_PASSWORD: passwords.postgres,
      PATRONI_REPLICATION_USERNAME: 'replicator',
      PATRONI_REPLICATION_PASSWORD: newPassword(),
      PATRONI_RESTAPI_USERNAME: 'patroni',
      PATRONI_RESTAPI_PASSWORD: newPassword(),
      STUDENTLY_APP_PASSWORD: passwords.studently,
      STUDENTLY_MIGRATOR_PASSWORD: passwords.studently_migrator,
      STUDENTLY_READER_PASSWORD: passwords.studently_reader,
    };
    const nodes: PatroniNode[] = [];
    while (nodes.length < NODES) {
      nodes.push(
        await workspace.use(
          () => PatroniNode.make(`postgres-${nodes.length + 1}`, common),
          (node) => node.remove(),
        ),
      );
    }
    for (const node of nodes) node.start();
    const ports = { primary: await freePort(), standbys: await freePort() };
    await workspace.use(
      () => startHaproxy(nodes, ports),
      (server) => server.stop('SIGKILL'),
    );
    const cluster = new PatroniCluster(nodes, ports, passwords);
    await cluster.untilWell();
    return cluster;
  }

  /** An address of whichever server is the primary, or of any that is not, through HAProxy. */
  url(login: 'postgres' | Login, behind: keyof Ports = 'primary'): string {
    return `postgres://${login}:${this.passwords[login]}@127.0.0.1:${this.ports[behind]}/studently`;
  }

  /** As any node that answers knows it; empty if none does. */
  async members(): Promise<Member[]> {
    for (const node of this.nodes) {
      const answer = await fetch(`${node.api}/cluster`, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
      if (answer?.ok) return ((await answer.json()) as { members: Member[] }).members;
    }
    return [];
  }

  async leader(): Promise<PatroniNode> {
    return this.nodeOf((await this.members()).find(({ role }) => role === 'leader')!.name);
  }

  nodeOf(name: string): PatroniNode {
    return this.nodes.find((node) => node.name === name)!;
  }

  /** Changes the roles of a leader and the synchronous standby, as `patronictl switchover` does. */
  async switchover(): Promise<void> {
    const members = await this.members();
    const [leader, candidate] = ['leader', 'sync_standby'].map((wanted) => members.find(({ role }) => role === wanted)!.name);
    const { api, login } = this.nodeOf(leader!);
    const answer = await fetch(`${api}/switchover`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(login).toString('base64')}` },
      body: JSON.stringify({ leader, candidate }),
    });
    if (!answer.ok) throw new Error(`The switchover from ${leader} to ${candidate}: ${await answer.text()}`);
  }

  /** Until a primary has two standbys that follow it, one of which is synchronous. */
  async untilWell(): Promise<void> {
    for (const end = Date.now() + LONGEST_MS; Date.now() < end; await sleep(200)) if (await this.isWell()) return;
    const logs = this.nodes.map((node) => `${node.name}:\n${node.log}`);
    throw new Error(`${JSON.stringify(await this.members())} after ${LONGEST_MS} ms\n${logs.join('\n')}`);
  }

  private async isWell(): Promise<boolean> {
    const members = await this.members();
    const leader = members.find(({ role }) => role === 'leader');
    if (!leader || members.length < NODES || !members.some(({ role }) => role === 'sync_standby')) return false;
    if (members.some(({ state, timeline }) => !RUNNING.has(state) || timeline !== leader.timeline)) return false;
    const states = await withClient(this.url('postgres'), async (client) => {
      const { rows } = await client.query<{ state: string }>(
        "select sync_state as state from pg_stat_replication where state = 'streaming' order by 1",
      );
      return rows.map(({ state }) => state);
    }).catch(() => []);
    return String(states) === 'async,sync';
  }
}

const ROUTINE = /no action|Lock owner|waiting for WAL|canceling statement|checkpoint/;
const TOLD_LINES = 60;
const RUNNING = new Set(['running', 'streaming']);

/** The logins of deploy/postgres/logins.sh. */
type Login = 'studently' | 'studently_migrator' | 'studently_reader';

/** One of the servers: Patroni and the PostgreSQL that it keeps. */
export class PatroniNode {
  private child?: ChildProcess;

  private constructor(
    readonly name: string,
    readonly port: number,
    readonly apiPort: number,
    private readonly folder: string,
    private readonly environment: NodeJS.ProcessEnv,
  ) {}

  static async make(name: string, common: NodeJS.ProcessEnv): Promise<PatroniNode> {
    const owner = postgresOwner(); // PostgreSQL refuses to run as root
    const folder = temporaryFolder(name, owner);
    const [port, apiPort] = [await freePort(), await freePort()];
    const node = new PatroniNode(name, port, apiPort, folder, {
      ...common,
      HOME: folder,
      PATRONI_NAME: name,
      PATRONI_RESTAPI_LISTEN: `127.0.0.1:${apiPort}`,
      PATRONI_RESTAPI_CONNECT_ADDRESS: `127.0.0.1:${apiPort}`,
      PATRONI_POSTGRESQL_LISTEN: `127.0.0.1:${port}`,
      PATRONI_POSTGRESQL_CONNECT_ADDRESS: `127.0.0.1:${port}`,
      PATRONI_POSTGRESQL_DATA_DIR: join(folder, 'data'),
      PATRONI_POSTGRESQL_PGPASS: join(folder, 'pgpass'),
    });
    for (const file of FIRST_START) cpSync(join(ROOT, file), join(folder, 'studently', file));
    const shipped = readFileSync(join(ROOT, 'deploy/patroni/patroni.yml'), 'utf8');
    if (!shipped.includes(INSTALLED)) throw new Error('deploy/patroni/patroni.yml has no first start');
    const sockets = `  parameters:\n    unix_socket_directories: ${folder}\n`; // of its last section
    const text = shipped.replace(INSTALLED, join(folder, 'studently')) + sockets;
    writeFileSync(node.file, text, { mode: 0o600 });
    if (owner) for (const path of everythingIn(folder)) chownSync(path, owner.uid, owner.gid);
    return node;
  }

  /** Its configuration, for patronictl. */
  get file(): string {
    return join(this.folder, 'patroni.yml');
  }

  get api(): string {
    return `http://127.0.0.1:${this.apiPort}`;
  }

  /** Who may change something by it. */
  get login(): string {
    return `${this.environment['PATRONI_RESTAPI_USERNAME']}:${this.environment['PATRONI_RESTAPI_PASSWORD']}`;
  }

  /** What Patroni has last done, and what its PostgreSQL has said to that. */
  get log(): string {
    const lines = readFileSync(join(this.folder, 'log'), 'utf8').split('\n');
    const telling = lines.filter((line) => /(INFO|WARNING|ERROR|LOG): /.test(line) && !ROUTINE.test(line));
    return telling.slice(-TOLD_LINES).join('\n');
  }

  start(): void {
    const log = openSync(join(this.folder, 'log'), 'a');
    this.child = spawn(PATRONI, [this.file], {
      ...postgresOwner(),
      env: this.environment,
      cwd: this.folder,
      stdio: ['ignore', log, log],
      detached: true, // a group of its own: what it has started, to copy a server for instance, ends with it
    });
    closeSync(log);
  }

  /** PostgreSQL dies, and Patroni is there. */
  killPostgres(): void {
    const [postmaster] = this.postgres();
    if (postmaster !== undefined) signal(postmaster, 'SIGKILL');
  }

  /** All of it at once. */
  async kill(): Promise<void> {
    const isOver = this.patroni && once(this.patroni, 'exit');
    for (const pid of this.everything()) signal(pid, 'SIGKILL');
    await isOver;
    while (this.postgres().length > 0) await sleep(20);
  }

  /** Nothing of it runs any more, and nobody is told: what is connected stays connected. */
  freeze(): void {
    for (const pid of this.everything()) signal(pid, 'SIGSTOP');
    for (const pid of this.postgres()) signal(pid, 'SIGSTOP'); // also what has been begun meanwhile
  }

  thaw(): void {
    for (const pid of this.everything()) signal(pid, 'SIGCONT');
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private everything(): number[] {
    return [...(this.patroni ? [-this.patroni.pid!] : []), ...this.postgres()];
  }

  /** While it runs. */
  private get patroni(): ChildProcess | undefined {
    return this.child?.exitCode === null && this.child.signalCode === null ? this.child : undefined;
  }

  /** The postmaster, if it runs, and its children. */
  private postgres(): number[] {
    const processes = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => processOf(Number(name)) ?? []);
    const data = join(this.folder, 'data');
    const postmaster = processes.find(({ words }) => words[0]?.endsWith('/postgres') && words.includes(data));
    if (!postmaster) return [];
    const children = processes.filter(({ parent }) => parent === postmaster.pid);
    return [postmaster, ...children].map(({ pid }) => pid);
  }
}

function processOf(pid: number): { pid: number; parent: number; words: string[] } | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const parent = Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[1]);
    return { pid, parent, words };
  } catch {
    return undefined; // it has ended
  }
}

function signal(pid: number, what: NodeJS.Signals): void {
  try {
    process.kill(pid, what);
  } catch {
    // It has ended by itself.
  }
}

function everythingIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.map(({ parentPath, name }) => join(parentPath, name));
}

/** Where Patroni keeps who leads: one server of it, which is enough for a test. */
async function startEtcd(): Promise<Server> {
  const folder = temporaryFolder('etcd');
  const [port, peerPort] = [await freePort(), await freePort()];
  const [clients, peers] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  const options = {
    name: 'etcd-1',
    'enable-v2': 'true',
    'data-dir': join(folder, 'data'),
    'listen-client-urls': clients,
    'advertise-client-urls': clients,
    'listen-peer-urls': peers,
    'initial-advertise-peer-urls': peers,
    'initial-cluster': `etcd-1=${peers}`,
  };
  const words = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(ETCD, words, { stdio: 'ignore', cwd: folder });
  await untilAnswers(`${clients}/health`);
  const server = controlled(child, port);
  return {
    ...server,
    stop: async (how) => {
      await server.stop(how);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** @returns when there is a primary behind it */
async function startHaproxy(nodes: readonly PatroniNode[], ports: Ports): Promise<Server> {
  const healthPort = await freePort();
  const servers = nodes.flatMap(({ port, apiPort }, index) => [
    [`POSTGRES_${index + 1}`, `127.0.0.1:${port}`],
    [`PATRONI_${index + 1}`, '127.0.0.1'],
    [`PATRONI_${index + 1}_PORT`, String(apiPort)],
  ]);
  const child = spawn(HAPROXY, ['-db', '-f', join(ROOT, 'deploy/haproxy/haproxy.cfg')], {
    stdio: 'ignore',
    env: {
      ...(Object.fromEntries(servers) as NodeJS.ProcessEnv),
      POSTGRES_BIND: '127.0.0.1',
      PRIMARY_PORT: String(ports.primary),
      STANDBYS_PORT: String(ports.standbys),
      HEALTH_PORT: String(healthPort),
    },
  });
  const server = controlled(child, ports.primary);
  await untilAnswers(`http://127.0.0.1:${healthPort}/healthy`).catch(async (error: unknown) => {
    await server.stop('SIGKILL');
    throw error;
  });
  return server;
}

async function untilAnswers(url: string): Promise<void> {
  for (const end = Date.now() + LONGEST_MS; Date.now() < end; await sleep(50)) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
  }
  throw new Error(`${url} does not answer`);
}
