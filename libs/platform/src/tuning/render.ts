import { BESIDE_THE_POOL, FOR_OPERATORS } from '../persistence/connection-budget';
import { mostMemory, type Machine, type SettingName, type Tuning, type Wishes } from './tuning';

/** The first words of each file: what begins otherwise is somebody else's. */
export const WRITTEN_BY = '# Written by `npx studently tune`';

/** The reason for each setting, as it stands beside it. */
const REASONS: Record<SettingName, (machine: Machine, tuning: Tuning) => string> = {
  maxConnections: ({ processes, poolSize }, { superuserReservedConnections: reserved }) =>
    `${processes} processes with ${poolSize} + ${BESIDE_THE_POOL} connections each, ${reserved} reserved, ${FOR_OPERATORS} for operators`,
  superuserReservedConnections: () => 'of these, for a superuser when all others are taken',
  sharedBuffers: ({ workload }) =>
    workload === 'search'
      ? 'two fifths of the memory: an HNSW index is fast while it fits (about 4 KB a passage)'
      : "a quarter of the memory; the system's cache holds the rest",
  effectiveCacheSize: () => 'allocates nothing: what the planner may expect to be in a cache',
  workMem: (_, tuning) =>
    `each sort and hash of each connection may take it; all together, with what else there is, ${Math.ceil(mostMemory(tuning) / 1024 ** 2)}MB`,
  maintenanceWorkMem: () => 'an HNSW graph is built in it; one that does not fit is built many times as slowly',
  autovacuumWorkMem: () => 'for each of its workers; otherwise they would take maintenance_work_mem each',
  autovacuumMaxWorkers: () => 'as many tables at once',
  autovacuumVacuumScaleFactor: () => 'a twentieth of a table has changed: of large tables less is dead at a time',
  maxWorkerProcesses: () => 'no fewer than CPUs',
  maxParallelWorkers: () => 'as many as CPUs',
  maxParallelWorkersPerGather: ({ cpus }) =>
    cpus < 4 ? 'requests share few CPUs already' : 'for an exact search over many passages',
  maxParallelMaintenanceWorkers: () => 'CVE-2026-3172: before pgvector 0.8.4 a parallel HNSW build writes beyond its memory',
  walBuffers: () => 'one segment; more does not help',
  minWalSize: () => 'segments that are kept for use again',
  maxWalSize: ({ workload }) =>
    workload === 'import'
      ? 'much is written: fewer checkpoints, a longer recovery'
      : 'room between two checkpoints; the disk must have it',
  maxSlotWalKeepSize: () => 'a standby that is away for long is given up before the disk is full',
  checkpointTimeout: () => 'whole pages are logged once after each checkpoint',
  walCompression: () => 'those pages compress well',
  randomPageCost: () => 'an SSD jumps almost for nothing',
  effectiveIoConcurrency: () => 'and answers many at once',
  jit: () => 'compiling takes longer than these statements do',
  sharedPreloadLibraries: () => 'which statements are slow; and why, once statements.conf has auto_explain tell it',
  trackIoTiming: () => 'and what of it was the disk',
  passwordEncryption: () => 'MD5 is broken',
  logErrorVerbosity: () => 'the DETAIL of an error holds values of learners',
  logParameterMaxLength: () => 'so do the parameters of slow statements',
  logParameterMaxLengthOnError: () => 'and of those that fail',
  redisMaxmemory: () => 'a sixteenth of the memory; every key of the cache has an end and may go',
  redisMaxmemoryPolicy: () => 'jobs, which have no end, stay; a Redis for jobs alone takes noeviction',
  redisAppendonly: () => 'a restart does not send all readers to PostgreSQL at once',
  redisAppendfsync: () => 'a second of cache may be lost: PostgreSQL has it',
};

const REDIS = 'redis';

/** As the server calls it: `maxConnections` is max_connections, `redisMaxmemoryPolicy` is maxmemory-policy. */
export function serverNameOf(name: SettingName): { redis: boolean; name: string } {
  const redis = name.startsWith(REDIS);
  const own = redis ? name[REDIS.length]!.toLowerCase() + name.slice(REDIS.length + 1) : name;
  return { redis, name: own.replace(/[A-Z]/g, (letter) => `${redis ? '-' : '_'}${letter.toLowerCase()}`) };
}

/** The files of a tuning by their names. What was wished has no other reason. */
export function render(
  machine: Machine,
  tuning: Tuning,
  wishes: Wishes = {},
): Record<'postgresql.conf' | 'redis.conf' | 'tuning.json', string> {
  const lines: { postgresql: string[]; redis: string[] } = { postgresql: [], redis: [] };
  for (const [key, reason] of Object.entries(REASONS)) {
    const { redis, name } = serverNameOf(key as SettingName);
    const value = tuning[key as SettingName];
    lines[redis ? 'redis' : 'postgresql'].push(
      `# ${key in wishes ? 'as --config has it' : reason(machine, tuning)}`,
      redis ? `${name} ${forRedis(value)}` : `${name} = ${typeof value === 'string' ? `'${value}'` : value}`,
    );
  }
  const { memory, cpus, workload, processes, poolSize } = machine;
  const written = `${WRITTEN_BY} for ${Math.floor(memory / 1024 ** 2)}MB, ${cpus} CPUs, workload ${workload}, ${processes} processes with pools of ${poolSize}.`;
  const include =
    '# Beside your own: echo "include \'/etc/studently/postgresql.conf\'" >> postgresql.conf; then restart PostgreSQL.';
  return {
    'postgresql.conf': [written, include, ...lines.postgresql, ''].join('\n'),
    'redis.conf': [written, ...lines.redis, '# No snapshots beside the log.', 'save ""', ''].join('\n'),
    'tuning.json': `${JSON.stringify(tuning, undefined, 2)}\n`,
  };
}

/** Redis reads sizes in lower case. */
const forRedis = (value: string | number): string =>
  /^\d+[kMGT]B$/.test(String(value)) ? String(value).toLowerCase() : String(value);
