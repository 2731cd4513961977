import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdirSync, openSync, realpathSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { ConfigurationError } from '../config/config';
import type { DatabaseTarget } from '../persistence/connection';
import type { PGliteWorkerData } from './pglite-worker';

/** A running embedded database. */
export interface EmbeddedPostgres {
  readonly target: DatabaseTarget;
  stop(): Promise<void>;
}

/** Unix socket paths end at 107 bytes; PostgreSQL adds its file name. */
const LONGEST_SOCKET_FOLDER = 107 - '/.s.PGSQL.5432'.length;

/** Makes the folder, if need be, and keeps others out: the socket in it lets in whoever reaches it. */
function ownFolder(dataDir: string): string {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    chmodSync(dataDir, 0o700);
    return realpathSync(dataDir);
  } catch (error) {
    throw new ConfigurationError(
      'DATA_DIR_UNUSABLE',
      `${dataDir} cannot be used as data folder (${(error as Error).message}): choose another one with STUDENTLY_DATA_DIR.`,
    );
  }
}

/** A start waits so long for a process that is just ending: a restart is not refused. */
const PATIENCE_MS = 2000;

/** Everything of one embedded database has its place under its data folder. */
function placesOf(dataDir: string) {
  const folder = ownFolder(dataDir);
  const id = createHash('sha256').update(folder).digest('hex').slice(0, 24);
  const beside = join(folder, 'run');
  const socketFolder = Buffer.byteLength(beside) <= LONGEST_SOCKET_FOLDER ? beside : join(tmpdir(), `studently-${id}`);
  mkdirSync(socketFolder, { recursive: true, mode: 0o700 });
  chmodSync(socketFolder, 0o700); // refused if somebody else has put a folder there
  return {
    data: join(folder, 'postgres'),
    socket: join(socketFolder, '.s.PGSQL.5432'),
    lock: join(folder, 'lock'),
    target: { url: `postgres://postgres@localhost:5432/postgres?host=${encodeURIComponent(socketFolder)}`, embedded: true },
  };
}

/** @returns what holds the lock until it is closed; undefined if another process runs on the folder, and goes on to do so for `patience` ms */
async function takeLock(places: ReturnType<typeof placesOf>, patience = 0): Promise<number | undefined> {
  for (const end = Date.now() + patience; ; await sleep(50)) {
    const lock = tryLock(places.lock);
    if (lock !== undefined && !(await answers(places.socket))) return lock;
    if (lock !== undefined) closeSync(lock);
    if (Date.now() >= end) return undefined;
  }
}

/** Whether a database serves there: one of a release that locked otherwise. */
function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ENOENT' && code !== 'ECONNREFUSED'));
  });
}

/**
 * Node has no flock(2). The lock that the program takes is one of the open file, which is ours: it stays when the program ends, and the
 * kernel frees it with this process, however that ends. It holds for all containers of the machine, and whatever path leads to the file.
 */
function tryLock(file: string): number | undefined {
  const descriptor = openSync(file, 'a', 0o600);
  const { status, stderr, error } = spawnSync('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'pipe', descriptor] });
  if (status === 0) return descriptor;
  closeSync(descriptor);
  if (status === 1) return undefined;
  throw new ConfigurationError(
    'DATA_DIR_UNUSABLE',
    `${file} cannot be locked (${error?.message ?? stderr.toString().trim()}): flock of util-linux has to be there, and a file system that knows locks.`,
  );
}

/**
 * Starts PostgreSQL inside this process (PGlite, in a thread of its own) on the data in `dataDir`.
 * It survives `kill -9`: what was acknowledged is on the disk.
 * @throws ConfigurationError `DATA_DIR_IN_USE` while another process runs on the folder, `DATA_DIR_UNUSABLE`
 */
export async function startEmbeddedPostgres(dataDir: string): Promise<EmbeddedPostgres> {
  const places = placesOf(dataDir);
  const lock = await takeLock(places, PATIENCE_MS);
  if (lock === undefined) {
    throw new ConfigurationError(
      'DATA_DIR_IN_USE',
      `Another process already runs on ${dataDir}. Stop it, or choose another folder with STUDENTLY_DATA_DIR.`,
    );
  }
  return startLocked(places, lock);
}

async function startLocked(places: ReturnType<typeof placesOf>, lock: number): Promise<EmbeddedPostgres> {
  rmSync(places.socket, { force: true }); // left behind by a killed process; the lock says that it is not in use
  const workerData: PGliteWorkerData = { folder: places.data, socket: places.socket };
  const worker = new Worker(join(__dirname, 'pglite-worker.js'), { workerData });
  await once(worker, 'message'); // rejects with what the thread throws
  worker.on('error', (error) => {
    throw error; // without its database the process cannot go on
  });
  return {
    target: places.target,
    stop: async () => {
      worker.removeAllListeners('error');
      const ended = once(worker, 'exit');
      worker.postMessage('stop');
      await ended;
      rmSync(places.socket, { force: true });
      closeSync(lock);
    },
  };
}

/** The embedded database of a process that runs already, else one started for the caller. */
export async function reachEmbeddedPostgres(dataDir: string): Promise<EmbeddedPostgres> {
  const places = placesOf(dataDir);
  const lock = await takeLock(places);
  return lock === undefined ? { target: places.target, stop: () => Promise.resolve() } : startLocked(places, lock);
}
