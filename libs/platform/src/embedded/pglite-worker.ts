import { existsSync, fsyncSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { NodeFS } from '@electric-sql/pglite/nodefs';
import { pg_stat_statements } from '@electric-sql/pglite/contrib/pg_stat_statements';
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm';
import { uuid_ossp } from '@electric-sql/pglite/contrib/uuid_ossp';
import { vector } from '@electric-sql/pglite-pgvector';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import { syncFolder, syncTree } from '../security/keys/durable-files';

/** What the thread is told: where the data is, and where to listen. */
export interface PGliteWorkerData {
  folder: string;
  socket: string;
}

const { folder, socket } = workerData as PGliteWorkerData;

/** PGlite's own start parameters switch fsync off (-F); these are the same without that. */
const START_PARAMETERS = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  ...['fsync=on', 'wal_sync_method=fsync', 'timezone=UTC'].flatMap((setting) => ['-c', setting]),
];

interface Stream {
  nfd?: number;
}
interface Emscripten {
  FS: { filesystems: { NODEFS: { stream_ops: { fsync?: (stream: Stream) => number } } } };
}

/** Node's file system with the one operation that PGlite leaves out: without it fsync(2) is a silent no-op. */
class DurableNodeFS extends NodeFS {
  override async init(...[pg, options]: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const addFsync = (module: unknown) => {
      (module as Emscripten).FS.filesystems.NODEFS.stream_ops.fsync = ({ nfd }) => {
        if (nfd !== undefined) fsyncSync(nfd);
        return 0;
      };
    };
    return super.init(pg, { ...options, preRun: [...(options.preRun ?? []), addFsync] });
  }
}

const open = (dataDir: string) =>
  PGlite.create({
    fs: new DurableNodeFS(dataDir),
    extensions: { vector, pg_trgm, uuid_ossp, pg_stat_statements },
    startParams: START_PARAMETERS,
    relaxedDurability: false,
  });

/** The data folder appears only when it is complete, so that a first start may be killed, or lose its power, at any moment. */
async function openOrCreate(): Promise<PGlite> {
  if (!existsSync(folder)) {
    const unfinished = `${folder}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    const created = await open(unfinished);
    await created.close();
    await syncTree(unfinished); // most of its files are as they were unpacked, and no checkpoint has synced those
    renameSync(unfinished, folder);
    await syncFolder(dirname(folder));
  }
  return open(folder);
}

async function main(): Promise<void> {
  const db = await openOrCreate();
  const server = new PGLiteSocketServer({ db, path: socket, maxConnections: 50 });
  await server.start();
  parentPort!.on('message', () => {
    void server
      .stop()
      .then(() => db.close())
      .finally(() => process.exit(0));
  });
  parentPort!.postMessage('ready');
}

void main();
