import { setTimeout as sleep } from 'node:timers/promises';
import { RATE_WINDOW_SECONDS } from '../rate-limit/rate-limits';
import { headOf, VERSION } from './envelope';
import { CACHE_TTL_SECONDS } from './read-model';
import type { RedisClient, RedisNode } from './redis-client';

/** Keys that are looked at together. Redis is left alone afterwards for as long as that took. */
const BATCH = 200;

/** Enough of a view for the head of its envelope. */
const HEAD_BYTES = 512;

const EXAMPLES = 5;

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

/** Every shape of key that we write, and how long it lives at most; jobs are looked after by BullMQ. */
const KINDS = [
  { kind: 'sessions', shape: new RegExp(`^session:${UUID}$`), seconds: 24 * 60 * 60 },
  { kind: 'generations', shape: new RegExp(`^cache:\\{u:${UUID}\\}:generation:`), seconds: CACHE_TTL_SECONDS },
  { kind: 'fills', shape: new RegExp(`^cache:\\{u:${UUID}\\}:filling:`), seconds: 1 },
  { kind: 'views', shape: new RegExp(`^cache:\\{u:${UUID}\\}:`), seconds: CACHE_TTL_SECONDS },
  { kind: 'rateLimits', shape: /^ratelimit:\{[^{}]+\}:[a-z-]+$/, seconds: RATE_WINDOW_SECONDS },
  { kind: 'jobs', shape: /^\{jobs\}:/, seconds: Infinity },
] as const;

const GENERATIONS = 'cache:{u:*}:generation:*';

/** Why a key of ours may go: nobody will read it (again), or it would never end by itself. */
export type Reason = 'orphaned' | 'oldVersion' | 'endless';

export interface KindStats {
  keys: number;
  bytes: number;
  /** Of those that end: until the first and the last of them do. */
  firstEndsInMs?: number;
  lastEndsInMs?: number;
}

export interface CacheStats {
  servers: number;
  kinds: Record<string, KindStats>;
  /** What `clean` would remove. */
  removable: Record<Reason, number>;
  /** Keys that are not ours: how many, and some of their names. */
  foreign: { keys: number; examples: string[] };
  /** The share of lookups, by whomever, that have found something since the servers started; undefined: there was none. */
  hitRate?: number;
}

interface Found {
  name: string;
  kind: string;
  msLeft: number;
  bytes: number;
  reason?: Reason;
}

/** Looks at all keys of a Redis, or of every master of a cluster, batch by batch, while it serves. */
export class CacheMaintenance {
  /** @param tell hears how many keys were looked at */
  constructor(
    private readonly redis: RedisClient,
    private readonly tell: (keys: number) => void = () => undefined,
  ) {}

  async size(): Promise<number> {
    const sizes = await Promise.all(this.redis.nodes().map((node) => node.send('DBSIZE') as Promise<number>));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  async stats(): Promise<CacheStats> {
    const nodes = this.redis.nodes();
    const stats: CacheStats = {
      servers: nodes.length,
      kinds: Object.fromEntries(KINDS.map(({ kind }) => [kind, { keys: 0, bytes: 0 }])),
      removable: { orphaned: 0, oldVersion: 0, endless: 0 },
      foreign: { keys: 0, examples: [] },
      hitRate: hitRateOf(await Promise.all(nodes.map(async (node) => String(await node.send('INFO', 'stats'))))),
    };
    for (const node of nodes) {
      for await (const { ours, foreign } of this.keysOf(node)) {
        for (const found of ours) addTo(stats, found);
        stats.foreign.keys += foreign.length;
        stats.foreign.examples.push(...foreign.slice(0, EXAMPLES - stats.foreign.examples.length));
      }
    }
    return stats;
  }

  /** Removes what is removable, or only counts it. What is read again at the same moment is a miss, and refilled. */
  async clean({ dryRun = false } = {}): Promise<Record<Reason, number>> {
    const removed = { orphaned: 0, oldVersion: 0, endless: 0 };
    for (const node of this.redis.nodes()) {
      for await (const { ours } of this.keysOf(node)) {
        const removable = ours.filter(({ reason }) => reason);
        if (!dryRun) await Promise.all(removable.map(({ name }) => node.send('UNLINK', name)));
        for (const { reason } of removable) removed[reason!]++;
      }
    }
    return removed;
  }

  private async *keysOf(node: RedisNode): AsyncGenerator<{ ours: Found[]; foreign: string[] }> {
    const begin = Date.now();
    const generations = new Set<string>();
    for await (const names of scan(node, GENERATIONS)) {
      for (const value of await Promise.all(names.map((name) => node.send('GET', name)))) generations.add(String(value));
    }
    // A view from after the beginning may be of a generation from after it.
    const isOrphan = (generation: string, at: number) => at < begin && !generations.has(generation);
    for await (const names of scan(node)) {
      const [ours, foreign]: [Promise<Found>[], string[]] = [[], []];
      for (const name of names) {
        const known = KINDS.find(({ shape }) => shape.test(name));
        if (known) ours.push(lookAt(node, name, known, isOrphan));
        else foreign.push(name);
      }
      yield { ours: (await Promise.all(ours)).filter(({ msLeft }) => msLeft !== GONE), foreign };
      this.tell(names.length);
    }
  }
}

/** PTTL's word for a key that has ended by now; and for one that never will. */
const [GONE, ENDLESS] = [-2, -1];

async function lookAt(
  node: RedisNode,
  name: string,
  { kind, seconds }: (typeof KINDS)[number],
  isOrphan: (generation: string, at: number) => boolean,
): Promise<Found> {
  const [msLeft, bytes, head] = await Promise.all([
    node.send('PTTL', name) as Promise<number>,
    node.send('MEMORY', 'USAGE', name) as Promise<number | null>,
    kind === 'views' ? (node.send('GETRANGE', name, '0', String(HEAD_BYTES - 1)) as Promise<Buffer>) : undefined,
  ]);
  const found: Found = { name, kind, msLeft, bytes: bytes ?? 0 };
  const envelope = head && headOf(head);
  if (seconds < Infinity && (msLeft === ENDLESS || msLeft > seconds * 1000)) found.reason = 'endless';
  else if (envelope && envelope.version !== VERSION) found.reason = 'oldVersion';
  else if (envelope && isOrphan(envelope.generation, envelope.at)) found.reason = 'orphaned';
  return found;
}

/** The names of keys, as SCAN finds them: each at least once. */
async function* scan(node: RedisNode, pattern = '*'): AsyncGenerator<string[]> {
  let cursor = '0';
  do {
    const begin = performance.now();
    const [next, names] = (await node.send('SCAN', cursor, 'MATCH', pattern, 'COUNT', String(BATCH))) as [Buffer, Buffer[]];
    if (names.length > 0) yield names.map(String);
    await sleep(performance.now() - begin);
    cursor = String(next);
  } while (cursor !== '0');
}

function addTo(stats: CacheStats, { kind, msLeft, bytes, reason }: Found): void {
  const of = stats.kinds[kind]!;
  of.keys++;
  of.bytes += bytes;
  if (msLeft >= 0) {
    of.firstEndsInMs = Math.min(of.firstEndsInMs ?? Infinity, msLeft);
    of.lastEndsInMs = Math.max(of.lastEndsInMs ?? 0, msLeft);
  }
  if (reason) stats.removable[reason]++;
}

function hitRateOf(infos: string[]): number | undefined {
  const sum = (name: string) =>
    infos.reduce((total, info) => total + Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0), 0);
  const [hits, misses] = [sum('keyspace_hits'), sum('keyspace_misses')];
  return hits + misses === 0 ? undefined : hits / (hits + misses);
}
