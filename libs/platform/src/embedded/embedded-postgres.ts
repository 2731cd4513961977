import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
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
    // An abstract socket: the kernel frees it with the process, however that ends. Other containers do not see it (`answers`).
    lock: `\0studently-${id}`,
    target: { url: `postgres://postgres@localhost:5432/postgres?host=${encodeURIComponent(socketFolder)}`, embedded: true },
  };
}

/** @returns undefined if another process runs on the folder, and goes on to do so for `patience` ms */
async function takeLock(places: ReturnType<typeof placesOf>, patience = 0): Promise<Server | undefined> {
  for (const end = Date.now() + patience; ; await sleep(50)) {
    const lock = await tryLock(places.lock);
    if (lock && !(await answers(places.socket))) return lock;
    lock?.close();
    if (Date.now() >= end) return undefined;
  }
}

/** Whether a database serves there: in another container, or by another path to the folder, where the lock has another name. */
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

async function tryLock(name: string): Promise<Server | undefined> {
  const lock = createServer((connection) => connection.destroy());
  lock.listen(name);
  try {
    await once(lock, 'listening');
    return lock.unref();
  } catch {
    return undefined;
  }
}

/**
 * Starts PostgreSQL inside this process (PGlite, in a thread of its own) on the data in `dataDir`.
 * It survives `kill -9`: what was acknowledged is on the disk.
 * @throws ConfigurationError `DATA_DIR_IN_USE` while another process runs on the folder, `DATA_DIR_UNUSABLE`
 */
export async function startEmbeddedPostgres(dataDir: string): Promise<EmbeddedPostgres> {
  const places = placesOf(dataDir);
  const lock = await takeLock(places, PATIENCE_MS);
  if (!lock) {
    throw new ConfigurationError(
      'DATA_DIR_IN_USE',
      `Another process already runs on ${dataDir}. Stop it, or choose another folder with STUDENTLY_DATA_DIR.`,
    );
  }
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
      lock.close();
    },
  };
}

/** The embedded database of a process that runs already, else one started for the caller. */
export async function reachEmbeddedPostgres(dataDir: string): Promise<EmbeddedPostgres> {
  const places = placesOf(dataDir);
  const free = await takeLock(places);
  if (!free) return { target: places.target, stop: () => Promise.resolve() };
  free.close();
  await once(free, 'close');
  return startEmbeddedPostgres(dataDir);
}
