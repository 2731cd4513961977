import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type RedisClientType } from 'redis4';
import { rateLimitKey } from '../../libs/platform/src/rate-limit/rate-limit-store';
import { Helper } from '../bench/harness/processes';
import { startRedis } from '../support/servers';
import type { TortureContext } from './harness/torture';
import type { Hitting } from './ratelimit/hitter';
import { judgeOneWindow, judgeWindows, readHits } from './ratelimit/judge';

const PROCESSES = 8;
const KEYS = 20;
const IN_FLIGHT = 4;
const SHORT_LIMIT = 50;

export const promise =
  'eight processes admit exactly the limit of a window, and no count is ever without an end, even if processes are killed';
export const ops = 100_000;
export const shortOps = 8_000;

type Work = Omit<Hitting, 'hits'>;

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const redis = await context.use(startRedis, (server) => server.stop());
  const client = await context.use(
    async () => (await createClient({ url: redis.url }).connect()) as RedisClientType,
    (connection) => connection.disconnect(),
  );
  const keysOf = (name: string, count: number) =>
    Array.from({ length: count }, (_each, index) => rateLimitKey(`${name}:${index}`, 'default'));
  const work = (name: string, count: number, windowSeconds: number): Work => ({
    redisUrl: redis.url,
    inFlight: IN_FLIGHT,
    file: join(context.folder, name),
    keys: keysOf(name, count),
    windowSeconds,
  });
  const watch = watchKeys(client, context);

  const long = work('long', KEYS, 60);
  const share = Math.ceil(context.ops / PROCESSES);
  const hitters = await Promise.all(Array.from({ length: PROCESSES }, () => hitAndDie(context, long, share)));
  const killed = hitters.filter(({ wasKilled }) => wasKilled).length;
  const lost = await judgeOneWindow(context, client, readHits(long.file), long.keys, killed * IN_FLIGHT);

  const short = work('short', 1, 1);
  await Promise.all(hitters.map(({ hitter }) => hit(hitter, short, share)));
  const windows = judgeWindows(context, readHits(short.file), SHORT_LIMIT);
  return { processes: PROCESSES, killed, lostWithTheirProcess: lost, windows, looksAtKeys: await watch() };
}

function startHitter(context: TortureContext): Promise<Helper> {
  return context.use(
    () => Helper.start(join(__dirname, 'ratelimit/hitter.ts')),
    (helper) => helper.stop(),
  );
}

const hit = (hitter: Helper, work: Work, hits: number) => hitter.ask<true>({ ...work, hits } satisfies Hitting);

/** Two processes, one after the other: the first is killed at a random moment. @returns the second */
async function hitAndDie(context: TortureContext, work: Work, hits: number): Promise<{ hitter: Helper; wasKilled: boolean }> {
  const first = await startHitter(context);
  const delay = 20 + context.below(200);
  const done = hit(first, work, hits).then(
    () => false,
    () => true,
  );
  await sleep(delay);
  process.kill(first.pid, 'SIGKILL');
  const wasKilled = await done;
  const hitter = await startHitter(context);
  await hit(hitter, work, hits);
  return { hitter, wasKilled };
}

/** Looks at all keys again and again. @returns what ends it and tells how many keys it has looked at */
function watchKeys(client: RedisClientType, context: TortureContext): () => Promise<number> {
  let looks = 0;
  const ending = new AbortController();
  const look = async () => {
    const watcher = client.duplicate();
    await watcher.connect();
    while (!ending.signal.aborted) {
      for (const key of await watcher.keys('*')) {
        const ttl = await watcher.pTTL(key); // -2: it has ended since
        looks += 1;
        context.attempt(ttl !== -1 && ttl <= 60_000 && key.startsWith('ratelimit:{'), () => `${key} ends in ${ttl} ms`);
      }
      await sleep(1);
    }
    await watcher.disconnect();
  };
  const looking = look();
  return async () => {
    ending.abort();
    await looking;
    return looks;
  };
}
