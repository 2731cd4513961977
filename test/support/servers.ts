import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';

/** Real servers from this machine's binaries: own folder, own port, ended by pid. Several may run side by side. */

const POSTGRES_BIN = '/usr/lib/postgresql/15/bin';
const PGVECTOR = '/usr/share/postgresql/15/extension/vector.control';
export const REDIS = '/usr/bin/redis-server';
const PGBOUNCER = '/usr/sbin/pgbouncer';
const PGBACKREST = '/usr/bin/pgbackrest';
export const PATRONI = '/usr/bin/patroni';
export const ETCD = '/usr/bin/etcd';
export const HAPROXY = '/usr/sbin/haproxy';

/** What is missing on this machine for tests against real servers; empty: nothing. */
export function missingServers(): string[] {
  const programs = [join(POSTGRES_BIN, 'postgres'), PGVECTOR, REDIS, PGBOUNCER, PGBACKREST, PATRONI, ETCD, HAPROXY];
  return programs.filter((file) => !existsSync(file));
}

export interface Server {
  readonly pid: number;
  readonly port: number;
  /** Ends the server as asked, or as an accident would (SIGKILL), and waits for it. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface PostgresServer extends Server {
  readonly folder: string;
  /** The superuser's address of a database. */
  url(database: string): string;
  /** The same for a login that is no superuser and may only act as studently_app and studently_worker. */
  appUrl(database: string): string;
  /** Starts it again on the same folder and port. */
  restart(): Promise<PostgresServer>;
  remove(): Promise<void>;
}

export const freePort = () => listenOn(0);

export const isFree = (port: number) =>
  listenOn(port).then(
    () => true,
    () => false,
  );

/** @returns the port, on which nothing listens any more */
async function listenOn(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(wanted, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export function temporaryFolder(name: string, owner?: { uid: number; gid: number }): string {
  const folder = mkdtempSync(join(tmpdir(), `studently-${name}-`));
  chmodSync(folder, 0o700);
  if (owner) chownSync(folder, owner.uid, owner.gid);
  return folder;
}

/** PostgreSQL refuses to run as root; then it runs as the user `postgres` that its package has made. */
export function postgresOwner(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [, , uid, gid] = /^postgres:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))![0].split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

export function controlled(child: ChildProcess, port: number): Server {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    pid: child.pid!,
    port,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      await ended;
    },
  };
}

/**
 * An own PostgreSQL 15 cluster with the login `studently_login`. Further settings as in postgresql.conf.
 * @param template the folder of a cluster that is to be copied; else it is made, which takes seconds
 */
export async function startPostgres(
  settings: Record<string, string> = {},
  template = process.env['TEST_CLUSTER'],
): Promise<PostgresServer> {
  const folder = template === undefined ? makeCluster() : copyCluster(template);
  const data = join(folder, 'data');
  const password = readFileSync(join(folder, 'password'), 'utf8');
  const port = await freePort();
  const all = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: folder,
    shared_preload_libraries: 'pg_stat_statements',
    'pg_stat_statements.max': '50000', // so that none is forgotten that a test counts, as other tests' come
    max_connections: '200',
    shared_buffers: '256MB',
    log_min_messages: 'fatal',
    ...settings,
  };
  writeFileSync(join(data, 'postgresql.conf'), linesOf(all));
  const server = await serverIn(folder, data, port, password);
  await withClient(server.url('postgres'), async (client) => {
    const { rowCount } = await client.query(`select from pg_roles where rolname = 'studently_login'`);
    if (rowCount === 0) await client.query(`create role studently_login login noinherit password '${password}'`);
  });
  return server;
}

/** The folder of a cluster that does not run, and the superuser's password in it. */
export function makeCluster(): string {
  const owner = postgresOwner();
  const folder = temporaryFolder('postgres', owner);
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, randomBytes(12).toString('hex'));
  if (owner) chownSync(passwordFile, owner.uid, owner.gid);
  execFileSync(
    join(POSTGRES_BIN, 'initdb'),
    [
      '-D',
      join(folder, 'data'),
      '-U',
      'postgres',
      '-A',
      'scram-sha-256',
      '--pwfile',
      passwordFile,
      '-E',
      'UTF8',
      '--locale=C.UTF-8',
      '--data-checksums',
    ],
    { ...owner, stdio: 'pipe', cwd: folder },
  );
  return folder;
}

/** @param template the folder of a cluster that does not run */
export function copyCluster(template: string): string {
  const folder = temporaryFolder('postgres', postgresOwner());
  execFileSync('cp', ['-a', join(template, 'data'), join(template, 'password'), folder]);
  return folder;
}

/**
 * A standby of it on this machine, which streams by a slot of its own and answers queries. Further settings as in postgresql.conf.
 * @param name of its slot, and as which the primary knows it
 */
export async function startStandby(
  primary: PostgresServer,
  name: string,
  settings: Record<string, string> = {},
): Promise<PostgresServer> {
  const owner = postgresOwner();
  const folder = temporaryFolder(name, owner);
  const data = join(folder, 'data');
  const address = new URL(primary.url('postgres'));
  const source = `${address.href}?application_name=${name}`;
  const copying = ['-D', data, '-d', source, '-R', '-C', '-S', name, '-X', 'stream', '-c', 'fast'];
  await promisify(execFile)(join(POSTGRES_BIN, 'pg_basebackup'), copying, { ...owner, cwd: folder });
  const port = await freePort();
  const own = { port: String(port), unix_socket_directories: folder, hot_standby: 'on', ...settings };
  appendFileSync(join(data, 'postgresql.conf'), `\n${linesOf(own)}\n`); // what comes later counts
  return serverIn(folder, data, port, address.password);
}

const linesOf = (settings: Record<string, string>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} = '${value}'`)
    .join('\n');

/** The server of a folder that has been made. */
async function serverIn(folder: string, data: string, port: number, password: string): Promise<PostgresServer> {
  const url = (user: string) => (database: string) => `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
  const start = async (): Promise<PostgresServer> => {
    const child = spawn(join(POSTGRES_BIN, 'postgres'), ['-D', data], { ...postgresOwner(), stdio: 'ignore', cwd: folder });
    const server = controlled(child, port);
    await untilPostgresAnswers(url('postgres')('postgres'));
    return {
      ...server,
      folder,
      url: url('postgres'),
      appUrl: url('studently_login'),
      stop: (signal = 'SIGINT') => server.stop(signal), // SIGINT is PostgreSQL's fast shutdown
      restart: start,
      remove: async () => {
        await server.stop('SIGQUIT');
        rmSync(folder, { recursive: true, force: true });
      },
    };
  };
  return start();
}

async function untilPostgresAnswers(url: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await withClient(url, async () => undefined);
    } catch (error) {
      if (attempt === 200) throw error;
      await sleep(50);
    }
  }
}

export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** @throws if it ends instead */
function untilSaid(child: ChildProcess, output: Readable, words: string): Promise<void> {
  return new Promise((resolve, reject) => {
    output.on('data', (text: Buffer) => text.includes(words) && resolve());
    child.once('exit', (code) => reject(new Error(`${child.spawnfile} ended with ${code}`)));
  });
}

export const untilRedisIsReady = (child: ChildProcess): Promise<void> =>
  untilSaid(child, child.stdout!, 'Ready to accept connections');

export interface RedisServer extends Server {
  readonly url: string;
  restart(): Promise<RedisServer>;
}

/** An own Redis 7 that keeps nothing on the disk. */
export async function startRedis(port?: number): Promise<RedisServer> {
  const at = port ?? (await freePort());
  const folder = temporaryFolder('redis');
  const options = ['--port', String(at), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
  const child = spawn(REDIS, options, { stdio: ['ignore', 'pipe', 'inherit'] });
  await untilRedisIsReady(child);
  const server = controlled(child, at);
  return {
    ...server,
    url: `redis://127.0.0.1:${at}`,
    stop: async (signal) => {
      await server.stop(signal);
      rmSync(folder, { recursive: true, force: true });
    },
    restart: () => startRedis(at),
  };
}

export interface PgBouncer extends Server {
  /** An address of the PostgreSQL behind it, through it. */
  through(url: string): string;
}

const PGBOUNCER_INI = join(__dirname, '../../deploy/pgbouncer/pgbouncer.ini');

/** An own PgBouncer as deploy/pgbouncer has it, in front of the superuser's `adminUrl`, for the logins that are no superusers. */
export async function startPgBouncer(adminUrl: string, settings: Record<string, string> = {}): Promise<PgBouncer> {
  const owner = postgresOwner(); // like PostgreSQL it refuses to run as root
  const folder = temporaryFolder('pgbouncer', owner);
  const port = await freePort();
  const logins = await withClient(adminUrl, async (client) => {
    const { rows } = await client.query<{ line: string }>(
      `select format('"%s" "%s"', rolname, rolpassword) as line from pg_authid where rolcanlogin and not rolsuper`,
    );
    return rows.map(({ line }) => line);
  });
  const address = /^studently = host=\S+ port=\d+$/m;
  const shipped = readFileSync(PGBOUNCER_INI, 'utf8');
  if (!address.test(shipped)) throw new Error(`${PGBOUNCER_INI} names no database`);
  const own = { listen_port: String(port), auth_file: join(folder, 'userlist.txt'), unix_socket_dir: '', ...settings };
  const files = {
    'userlist.txt': logins.join('\n'),
    'pgbouncer.ini': [
      shipped.replace(address, `* = host=127.0.0.1 port=${new URL(adminUrl).port}`),
      ...Object.entries(own).map(([name, value]) => `${name} = ${value}`), // what comes later counts
    ].join('\n'),
  };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    if (owner) chownSync(join(folder, name), owner.uid, owner.gid);
  }
  const child = spawn(PGBOUNCER, [join(folder, 'pgbouncer.ini')], {
    ...owner,
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: folder,
  });
  await untilSaid(child, child.stderr, 'process up');
  const server = controlled(child, port);
  return {
    ...server,
    through: (url) => Object.assign(new URL(url), { port: String(port) }).href,
    stop: async (signal) => {
      await server.stop(signal);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
