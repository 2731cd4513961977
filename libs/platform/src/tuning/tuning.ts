import { z } from 'zod';
import { ConfigurationError } from '../config/config';
import { BESIDE_THE_POOL, connectionsNeeded, FOR_OPERATORS } from '../persistence/connection-budget';
import { bytesOf, sizeOf } from './sizes';

const [KB, MB, GB] = [1024, 1024 ** 2, 1024 ** 3];

/** `mixed`: learners study, chat and search. `search`: very many shared passages. `import`: much is brought in. */
export const WORKLOADS = ['mixed', 'search', 'import'] as const;
export type Workload = (typeof WORKLOADS)[number];

export interface Machine {
  /** What PostgreSQL and Redis may have together, in bytes. */
  readonly memory: number;
  readonly cpus: number;
  readonly workload: Workload;
  /** API processes and workers together. */
  readonly processes: number;
  /** DATABASE_POOL_SIZE of each. */
  readonly poolSize: number;
}

/** With less nothing of this is worth its name. */
export const LEAST_MEMORY = 512 * MB;

const size = (least: number) =>
  z
    .string()
    .refine(
      (text) => (bytesOf(text) ?? -1) >= least,
      `must be a size of ${sizeOf(Math.max(least, MB))} at least, such as 512MB`,
    );
const count = (min: number, max: number) => z.number().int().min(min).max(max);
const number = (min: number, max: number) => z.number().min(min).max(max);
const time = z.string().regex(/^\d{1,6}(ms|s|min|h|d)$/, 'must be a time, such as 15min');
const flag = z.enum(['on', 'off']);

/** Everything that is set, by its name in the typed data. Lists are as the server writes them. */
export const Tuning = z.strictObject({
  maxConnections: count(10, 10_000),
  superuserReservedConnections: count(1, 100),
  sharedBuffers: size(MB),
  effectiveCacheSize: size(MB),
  workMem: size(64 * KB),
  maintenanceWorkMem: size(MB),
  autovacuumWorkMem: size(MB),
  autovacuumMaxWorkers: count(1, 100),
  autovacuumVacuumScaleFactor: number(0, 1),
  maxWorkerProcesses: count(1, 1000),
  maxParallelWorkers: count(0, 1000),
  maxParallelWorkersPerGather: count(0, 100),
  maxParallelMaintenanceWorkers: count(0, 100),
  walBuffers: size(64 * KB),
  minWalSize: size(32 * MB),
  maxWalSize: size(32 * MB),
  maxSlotWalKeepSize: size(MB),
  checkpointTimeout: time,
  walCompression: z.enum(['off', 'pglz', 'lz4']),
  randomPageCost: number(0.1, 100),
  effectiveIoConcurrency: count(0, 1000),
  jit: flag,
  sharedPreloadLibraries: z.string().regex(/^[a-z_]+(, ?[a-z_]+)*$/, 'must be names of libraries, by commas'),
  trackIoTiming: flag,
  passwordEncryption: z.literal('scram-sha-256'),
  logErrorVerbosity: z.enum(['terse', 'default', 'verbose']),
  logParameterMaxLength: count(-1, 1_000_000),
  logParameterMaxLengthOnError: count(-1, 1_000_000),
  redisMaxmemory: size(MB),
  redisMaxmemoryPolicy: z.enum([
    'volatile-lru',
    'volatile-lfu',
    'volatile-ttl',
    'volatile-random',
    'allkeys-lru',
    'allkeys-lfu',
    'noeviction',
  ]),
  redisAppendonly: z.enum(['yes', 'no']),
  redisAppendfsync: z.enum(['always', 'everysec', 'no']),
});
export type Tuning = z.infer<typeof Tuning>;
export type SettingName = keyof Tuning;

/** The same of a file, where what is left out is worked out. */
const Wishes = Tuning.partial();
export type Wishes = z.infer<typeof Wishes>;

/** @throws ConfigurationError `TUNING_INVALID` naming every fault */
export function readWishes(data: unknown): Wishes {
  const result = Wishes.safeParse(data);
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`);
  throw new ConfigurationError('TUNING_INVALID', `The settings are not valid:\n  - ${faults.join('\n  - ')}`);
}

const clamp = (bytes: number, least: number, most: number) => Math.floor(Math.min(Math.max(bytes, least), most) / MB) * MB;

/** The most of `work_mem` that a connection of this workload makes use of. */
const WORK_MEM = { mixed: 16 * MB, search: 32 * MB, import: 64 * MB };

/**
 * Settings for a machine; `wishes` come first, and the others follow from them.
 * @throws ConfigurationError `TUNING_OVER_BUDGET` if it could need more memory than there is, or fewer connections than the pools have
 */
export function tune(machine: Machine, wishes: Wishes = {}): Tuning {
  const { memory, cpus, workload, processes, poolSize } = machine;
  const isSearch = workload === 'search';
  const reserved = wishes.superuserReservedConnections ?? 3;
  const maintenance = clamp(memory / (workload === 'mixed' ? 16 : 8), 64 * MB, isSearch ? 8 * GB : 2 * GB);
  const without: Omit<Tuning, 'workMem'> = {
    maxConnections: connectionsNeeded(processes, poolSize, reserved),
    superuserReservedConnections: reserved,
    sharedBuffers: sizeOf(clamp(memory * (isSearch ? 0.4 : 0.25), 128 * MB, 256 * GB)),
    effectiveCacheSize: sizeOf(clamp(memory * 0.75, MB, 1024 * GB)),
    maintenanceWorkMem: sizeOf(maintenance),
    autovacuumWorkMem: sizeOf(clamp(maintenance / 4, 16 * MB, 512 * MB)),
    autovacuumMaxWorkers: 3,
    autovacuumVacuumScaleFactor: 0.05,
    maxWorkerProcesses: Math.max(8, cpus),
    maxParallelWorkers: cpus,
    maxParallelWorkersPerGather: Math.min(2, Math.floor(cpus / 4)),
    maxParallelMaintenanceWorkers: 0,
    walBuffers: '16MB',
    minWalSize: sizeOf(clamp(memory / 8, 128 * MB, GB)),
    maxWalSize: sizeOf(clamp(memory / (workload === 'import' ? 1 : 2), GB, workload === 'import' ? 32 * GB : 8 * GB)),
    maxSlotWalKeepSize: '10GB',
    checkpointTimeout: workload === 'import' ? '30min' : '15min',
    walCompression: 'pglz',
    randomPageCost: 1.1,
    effectiveIoConcurrency: 200,
    jit: 'off',
    sharedPreloadLibraries: 'pg_stat_statements,auto_explain',
    trackIoTiming: 'on',
    passwordEncryption: 'scram-sha-256',
    logErrorVerbosity: 'terse',
    logParameterMaxLength: 0,
    logParameterMaxLengthOnError: 0,
    redisMaxmemory: sizeOf(clamp(memory / 16, 64 * MB, 4 * GB)),
    redisMaxmemoryPolicy: 'volatile-lru',
    redisAppendonly: 'yes',
    redisAppendfsync: 'everysec',
    ...wishes,
  };
  // A quarter is left to the system's own cache.
  const left = memory * 0.75 - withoutWorkMem(without);
  const workMem = sizeOf(clamp(left / without.maxConnections, MB, WORK_MEM[workload]));
  const tuning = { workMem, ...without };
  refuseBeyond(machine, tuning);
  return tuning;
}

const bytes = (text: string) => bytesOf(text)!;

const withoutWorkMem = (tuning: Omit<Tuning, 'workMem'>): number =>
  bytes(tuning.sharedBuffers) +
  bytes(tuning.walBuffers) +
  bytes(tuning.maintenanceWorkMem) +
  bytes(tuning.autovacuumWorkMem) * tuning.autovacuumMaxWorkers +
  bytes(tuning.redisMaxmemory);

/** The most that PostgreSQL and Redis take when every connection sorts, in bytes. */
export const mostMemory = (tuning: Tuning): number => withoutWorkMem(tuning) + bytes(tuning.workMem) * tuning.maxConnections;

function refuseBeyond(machine: Machine, tuning: Tuning): void {
  const faults: string[] = [];
  const most = mostMemory(tuning);
  if (most >= machine.memory) {
    faults.push(
      `shared_buffers ${tuning.sharedBuffers} + ${tuning.maxConnections} × work_mem ${tuning.workMem} + maintenance ${tuning.maintenanceWorkMem} + ` +
        `autovacuum ${tuning.autovacuumMaxWorkers} × ${tuning.autovacuumWorkMem} + wal_buffers ${tuning.walBuffers} + Redis ${tuning.redisMaxmemory} ` +
        `= ${Math.ceil(most / MB)}MB, of ${Math.floor(machine.memory / MB)}MB`,
    );
  }
  const needed = connectionsNeeded(machine.processes, machine.poolSize, tuning.superuserReservedConnections);
  if (tuning.maxConnections < needed) {
    faults.push(
      `maxConnections ${tuning.maxConnections} is below ${machine.processes} × (${machine.poolSize} + ${BESIDE_THE_POOL}) + ` +
        `${tuning.superuserReservedConnections} reserved + ${FOR_OPERATORS} for operators = ${needed}`,
    );
  }
  if (bytes(tuning.minWalSize) > bytes(tuning.maxWalSize)) faults.push('minWalSize is above maxWalSize');
  if (faults.length === 0) return;
  throw new ConfigurationError(
    'TUNING_OVER_BUDGET',
    `These settings do not fit the machine:\n  - ${faults.join('\n  - ')}\nGive it more (--memory), or ask for less (--processes, DATABASE_POOL_SIZE, --config).`,
  );
}
