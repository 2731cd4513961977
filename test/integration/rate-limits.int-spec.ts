import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type RedisClientType } from 'redis4';
import { RateLimits, type RatePolicy } from '@studently/platform';
import { SingleRedis } from '../../libs/platform/src/cache/redis-client';
import { MemoryRateLimitStore } from '../../libs/platform/src/rate-limit/memory-rate-limit-store';
import { rateLimitKey, type RateLimitStore } from '../../libs/platform/src/rate-limit/rate-limit-store';
import { RedisRateLimitStore } from '../../libs/platform/src/rate-limit/redis-rate-limit-store';
import { connectToCommonCluster } from '../support/common-cluster';
import { startRedis, type RedisServer } from '../support/servers';

let redis: RedisServer;
let client: RedisClientType;
let cluster: Awaited<ReturnType<typeof connectToCommonCluster>>;
/** As the application's own client: while Redis is away a command fails at once. */
const connect = async () => {
  const one = createClient({ url: redis.url, disableOfflineQueue: true }) as RedisClientType;
  one.on('error', () => undefined);
  return one.connect();
};
beforeAll(async () => {
  redis = await startRedis();
  client = await connect();
  cluster = await connectToCommonCluster();
});
afterAll(async () => {
  await cluster?.close();
  if (client?.isOpen) await client.disconnect();
  await redis?.stop();
});

const newKey = () => rateLimitKey(`u:${randomUUID()}`, 'default');

describe.each<[string, () => RateLimitStore]>([
  ['Redis', () => new RedisRateLimitStore(new SingleRedis(client))],
  ['a Redis Cluster', () => new RedisRateLimitStore(cluster.client)],
  ['memory', () => new MemoryRateLimitStore()],
])('A store of rate limits in %s', (_where, open) => {
  let store: RateLimitStore;
  beforeAll(() => {
    store = open();
  });
  const countOf = async (key: string) => (await store.hit(key, 60)).count;

  it('TU-5 counts each key from one, for itself', async () => {
    const [one, other] = [newKey(), newKey()];
    expect([await countOf(one), await countOf(one), await countOf(other), await countOf(one)]).toEqual([1, 2, 1, 3]);
  });

  it('TU-5 misses none of 500 that come at once', async () => {
    const key = newKey();
    const counts = await Promise.all(Array.from({ length: 500 }, () => countOf(key)));
    expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_each, index) => index + 1));
  });

  it('TU-5 gives each of 250 that come at once the count of its own key, and the end of its own window', async () => {
    const keys = Array.from({ length: 50 }, newKey);
    const hits = await Promise.all(
      Array.from({ length: 250 }, (_each, nr) => store.hit(keys[nr % 50]!, nr % 2 === 0 ? 60 : 30)),
    );
    expect(hits.map(({ count }) => count)).toEqual(hits.map((_each, nr) => 1 + Math.floor(nr / 50)));
    for (const [nr, { msLeft }] of hits.entries()) {
      expect(Math.ceil(msLeft / 1000) * 1000).toBe(nr % 2 === 0 ? 60_000 : 30_000);
    }
  });

  it('TU-5 a window ends when it has to, however often it is hit, and then begins anew', async () => {
    const key = newKey();
    const first = await store.hit(key, 1);
    expect(first).toEqual({ count: 1, msLeft: expect.any(Number) });
    expect(first.msLeft).toBeLessThanOrEqual(1000);
    let last = first.msLeft;
    for (let hit = 2; hit <= 4; hit++) {
      await sleep(150);
      const { count, msLeft } = await store.hit(key, 1);
      expect(count).toBe(hit);
      expect(msLeft).toBeLessThanOrEqual(last - 100);
      last = msLeft;
    }
    await sleep(last + 50);
    expect((await store.hit(key, 1)).count).toBe(1);
  });
});

describe('A count in Redis', () => {
  it('RED-10 RED-11 RED-12 is an integer under ratelimit:{<principal>}:<bucket> that ends within 60 s', async () => {
    const key = newKey();
    for (let hit = 1; hit <= 3; hit++) await new RedisRateLimitStore(new SingleRedis(client)).hit(key, 60);
    expect(key).toMatch(/^ratelimit:\{[^{}]+\}:[a-z]+$/);
    expect(await client.get(key)).toBe('3');
    const left = await client.pTTL(key);
    expect([left > 50_000, left <= 60_000]).toEqual([true, true]);
  });

  it.each<[string, (key: string) => Promise<unknown>, number]>([
    ['no end', (key) => client.set(key, '5'), 6],
    ['an end in an hour', (key) => client.set(key, '5', { EX: 3600 }), 6],
    ['no number', (key) => client.set(key, 'many'), 1],
    ['another type', (key) => client.lPush(key, 'x'), 1],
    ['the greatest number that there is', (key) => client.set(key, '9223372036854775807'), 1],
  ])('RED-12 that somebody has spoilt (%s) is mended by the next request', async (_what, spoil, count) => {
    const key = newKey();
    await spoil(key);
    expect(await new RedisRateLimitStore(new SingleRedis(client)).hit(key, 60)).toEqual({ count, msLeft: 60_000 });
    expect(await client.get(key)).toBe(String(count));
    expect(await client.pTTL(key)).toBeGreaterThan(0);
  });

  it('goes on after Redis has forgotten its scripts', async () => {
    const key = newKey();
    const store = new RedisRateLimitStore(new SingleRedis(client));
    await store.hit(key, 60);
    await client.scriptFlush();
    expect((await store.hit(key, 60)).count).toBe(2);
  });
});

describe('Rate limits', () => {
  const policy: RatePolicy = { name: 'default', limit: 5, limitAlone: 3 };
  const take = async (limits: RateLimits, principal: string, times: number) => {
    const verdicts = [];
    for (let nr = 0; nr < times; nr++) verdicts.push(await limits.take(principal, policy));
    return verdicts;
  };

  it('RED-5 admit exactly the limit over two processes, and say what is left', async () => {
    const second = await connect();
    const [here, there] = [client, second].map((each) => new RateLimits(new RedisRateLimitStore(new SingleRedis(each))));
    const mine = await take(here!, 'u:a', 3);
    const rest = await take(there!, 'u:a', 4);
    expect([...mine, ...rest].map(({ isAllowed }) => isAllowed)).toEqual([true, true, true, true, true, false, false]);
    expect([...mine, ...rest].map(({ remaining }) => remaining)).toEqual([4, 3, 2, 1, 0, 0, 0]);
    for (const { secondsLeft } of rest) expect([secondsLeft > 50, secondsLeft <= 60]).toEqual([true, true]);
    expect((await here!.take('u:b', policy)).remaining).toBe(4);
    await second.disconnect();
  });

  it('RED-5 ask nobody about a principal that is known to be refused', async () => {
    const limits = new RateLimits(new RedisRateLimitStore(new SingleRedis(client)));
    await take(limits, 'u:flood', 20);
    expect(await client.get(rateLimitKey('u:flood', 'default'))).toBe('6');
  });

  it('RED-16 are counted by each process alone, and stricter, while Redis is away', async () => {
    const limits = new RateLimits(new RedisRateLimitStore(new SingleRedis(client)));
    expect((await limits.take('u:c', policy)).remaining).toBe(4);
    await redis.stop('SIGKILL');
    const started = performance.now();
    const alone = await take(limits, 'u:c', 5);
    expect(alone.map(({ isAllowed }) => isAllowed)).toEqual([true, true, true, false, false]);
    expect(performance.now() - started).toBeLessThan(1000);
    redis = await redis.restart();
    client = await connect();
    while ((await limits.take(`u:${randomUUID()}`, policy)).remaining < 4) await sleep(20);
    expect((await limits.take('u:d', policy)).remaining).toBe(4);
    expect(await client.get(rateLimitKey('u:d', 'default'))).toBe('1');
  });

  it('RED-16 wait once for a Redis that hangs, not each time', async () => {
    const limits = new RateLimits(new RedisRateLimitStore(new SingleRedis(client)));
    await limits.take('u:e', policy);
    process.kill(redis.pid, 'SIGSTOP');
    try {
      const started = performance.now();
      await take(limits, 'u:e', 20);
      expect(performance.now() - started).toBeLessThan(900);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
    }
  });
});
