import { existsSync, readFileSync } from 'node:fs';
import type { RedisClientType } from 'redis4';
import type { TortureContext } from '../harness/torture';

export interface Hit {
  key: number;
  count: number;
  msLeft: number;
}

export function readHits(file: string): Hit[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1); // what is not a whole line was never answered
  return lines.map((line) => {
    const [key, count, msLeft] = line.split(' ').map(Number) as [number, number, number];
    return { key, count, msLeft };
  });
}

/**
 * One window for each key. Redis knows how many hits there were; each has to have been told its own number, from 1 on without a gap,
 * so that exactly `limit` of them were admitted whatever the limit is. Only what was on its way to a killed process may be missing.
 * @returns how many are missing
 */
export async function judgeOneWindow(
  context: TortureContext,
  client: RedisClientType,
  hits: Hit[],
  keys: string[],
  mayBeLost: number,
): Promise<number> {
  let lost = 0;
  const seen = keys.map(() => new Set<number>());
  for (const { key, count, msLeft } of hits) {
    const isNew = !seen[key]!.has(count);
    context.attempt(
      isNew && msLeft > 0 && msLeft <= 60_000,
      () => `${keys[key]}: count ${count} twice, or ends in ${msLeft} ms`,
    );
    seen[key]!.add(count);
  }
  for (const [index, key] of keys.entries()) {
    const total = Number(await client.get(key));
    const missing = total - seen[index]!.size;
    lost += missing;
    context.attempt(
      missing >= 0 && Math.max(...seen[index]!) <= total,
      () => `${key}: ${-missing} more were told than counted`,
    );
  }
  context.attempt(
    lost <= mayBeLost,
    () => `${lost} hits were counted and never answered, ${mayBeLost} at most were on their way`,
  );
  return lost;
}

/**
 * Windows of one key that end while it is hit: in each of them every number up to the limit is given out once, but for the last,
 * which may not have got so far.
 * @returns how many windows there were
 */
export function judgeWindows(context: TortureContext, hits: Hit[], limit: number): number {
  const times = new Map<number, number>();
  for (const { count } of hits) times.set(count, (times.get(count) ?? 0) + 1);
  const windows = times.get(1) ?? 0;
  for (let count = 1; count <= limit; count++) {
    const given = times.get(count) ?? 0;
    context.attempt(
      given === windows || given === windows - 1,
      () => `number ${count} was given ${given} times in ${windows} windows`,
    );
  }
  const admitted = hits.filter(({ count }) => count <= limit).length;
  const least = (windows - 1) * limit;
  context.attempt(
    admitted > least && admitted <= least + limit,
    () => `${admitted} were admitted in ${windows} windows of ${limit}`,
  );
  return windows;
}
