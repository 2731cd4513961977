import { statfs } from 'node:fs/promises';
import { ConfigurationError } from '../../config/config';
import { checkServer } from '../../persistence/server-checks';
import { inBytes, judging, set, type Check, type Finding } from '../check';

/** Below it CVE-2026-3172: a parallel build of an HNSW index writes beyond its memory. */
const MENDED_PGVECTOR = [0, 8, 4];

/** What a start of the API would refuse or warn of: version, extensions, migrations, roles, ends of waits. */
const start: Check = {
  name: 'start',
  examine: async ({ target, settings }): Promise<Finding[]> => {
    const app = settings.DATABASE_URL === undefined ? target : { url: settings.DATABASE_URL, embedded: false };
    try {
      const warnings = await checkServer(app);
      return warnings.map((what) => ({ severity: 'warning', what, mend: '$ npx studently migrate status' }));
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      const login = decodeURIComponent(new URL(app.url).username);
      const mend = /(?:Run|run|administrator|then): (.+)$/.exec(error.message)?.[1] ?? 'as it says';
      const command = mend.startsWith('npx ') ? `$ ${mend}` : `${mend.replace('<login>', `"${login}"`)};`;
      return [{ severity: 'critical', what: `The API would not start: ${error.code}. ${error.message}`, mend: command }];
    }
  },
};

const statements = judging<{ preloaded: boolean }>({
  name: 'pg_stat_statements',
  served: true,
  sql: `select exists (select from pg_settings where name = 'pg_stat_statements.max') as preloaded`,
  judge: ({ preloaded }) =>
    preloaded
      ? undefined
      : {
          severity: 'warning',
          what: 'pg_stat_statements is not preloaded, so nobody learns which statements are slow.',
          mend: 'alter system set shared_preload_libraries = pg_stat_statements; -- and the others that are there; then restart PostgreSQL',
        },
});

const pgvector = judging<{ version: string; workers: number }>({
  name: 'pgvector',
  sql: `select extversion as version, current_setting('max_parallel_maintenance_workers')::int as workers
        from pg_extension where extname = 'vector'`,
  judge: ({ version, workers }) => {
    if (!isBelow(version, MENDED_PGVECTOR)) return undefined;
    const upgrade = 'alter extension vector update; -- after installing pgvector 0.8.4 or newer';
    if (workers === 0) {
      return {
        severity: 'note',
        what: `pgvector ${version} has CVE-2026-3172, which parallel builds of HNSW indexes would open; none is parallel here.`,
        mend: upgrade,
      };
    }
    return {
      severity: 'warning',
      what: `pgvector ${version} has CVE-2026-3172: a parallel build of an HNSW index writes beyond its memory.`,
      mend: `${set('max_parallel_maintenance_workers', '0')} -- or install pgvector 0.8.4, and: alter extension vector update`,
    };
  },
});

const checksums = judging<{ checksums: string; folder: string | null }>({
  name: 'checksums',
  served: true,
  sql: `select current_setting('data_checksums') as checksums,
          (select setting from pg_settings where name = 'data_directory') as folder`,
  judge: ({ checksums, folder }) =>
    checksums === 'on'
      ? undefined
      : {
          severity: 'warning',
          what: 'Data checksums are off: what the disk damages is answered as if it were true.',
          mend: `$ pg_checksums --enable -D ${folder ?? '<data folder>'}   # while PostgreSQL is stopped`,
        },
});

/** Beyond what the write-ahead log may take. */
const ROOM_BYTES = 1024 ** 3;

const disk: Check = {
  name: 'disk',
  needs: 'monitor',
  examine: async ({ target, settings, ask }) => {
    const [row] = await ask<{ folder: string | null; wal: number; here: boolean }>(
      `select current_setting('data_directory') as folder, pg_size_bytes(current_setting('max_wal_size'))::float8 as wal,
         inet_client_addr() is not distinct from inet_server_addr() as here`,
    );
    const folder = target.embedded ? settings.STUDENTLY_DATA_DIR : row!.here ? row!.folder : null;
    const room = folder ? await statfs(folder).catch(() => undefined) : undefined;
    if (!room) return []; // of another machine, or another user: its monitoring sees it
    return [judgeDisk(room.bavail * room.bsize, row!.wal)];
  },
};

export function judgeDisk(free: number, wal: number): Finding | undefined {
  if (free >= wal + ROOM_BYTES) return undefined;
  return {
    severity: 'critical',
    what: `${inBytes(free)} are free where the write-ahead log may take ${inBytes(wal)} (max_wal_size). PostgreSQL stops when the disk is full.`,
    mend: `alter system set max_wal_size = '1GB'; select pg_reload_conf(); -- or make room`,
  };
}

function isBelow(version: string, least: readonly number[]): boolean {
  const parts = version.split('.').map(Number);
  for (const [at, wanted] of least.entries()) {
    const part = parts[at] ?? 0;
    if (part !== wanted) return part < wanted;
  }
  return false;
}

export const SERVER: readonly Check[] = [start, statements, pgvector, checksums, disk];
