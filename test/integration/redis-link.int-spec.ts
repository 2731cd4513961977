import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type RedisClientType } from 'redis4';
import { SingleRedis } from '../../libs/platform/src/cache/redis-client';
import { RedisLink } from '../../libs/platform/src/cache/redis-link';
import { RedisStore } from '../../libs/platform/src/cache/redis-store';
import { startRedis, type RedisServer } from '../support/servers';
import { TcpProxy } from '../support/tcp-proxy';

describe('The way to Redis', () => {
  let redis: RedisServer;
  let proxy: TcpProxy;
  let client: RedisClientType;
  let store: RedisStore;
  beforeEach(async () => {
    redis = await startRedis();
    proxy = await TcpProxy.before(redis.port);
    const socket = { reconnectStrategy: false } as const;
    client = createClient({ url: `redis://127.0.0.1:${proxy.port}`, disableOfflineQueue: true, socket });
    store = new RedisStore(new SingleRedis(client));
    await client.connect();
  });
  afterEach(async () => {
    await RedisLink.over(client).close();
    await proxy.close();
    await redis.stop();
  });
  const untilItAnswers = async () => {
    const started = performance.now();
    while (
      !(await store.ping().then(
        () => true,
        () => false,
      ))
    )
      await sleep(10);
    return performance.now() - started;
  };
  const get = async (key: string) => (await store.get([key, `${key} too`])).map((value) => value?.toString());

  it.each([1, 3, 5, 9, 14])('RED-16 half an answer, %i bytes of it, is not the beginning of the next one', async (bytes) => {
    const keys = ['a', 'b', 'c'];
    for (const key of keys) for (const name of [key, `${key} too`]) await store.set(name, `of ${name}`, 60);
    await proxy.set({ kind: 'truncated', bytes });
    await expect(get('a')).rejects.toThrow();
    await proxy.heal();
    await untilItAnswers();
    for (const key of keys) expect(await get(key)).toEqual([`of ${key}`, `of ${key} too`]);
  });

  it('RED-16 fails at once while Redis hangs, and is there again when it is', async () => {
    await store.ping();
    await proxy.set({ kind: 'half-open' });
    await Promise.allSettled(Array.from({ length: 20 }, () => get('a')));
    const started = performance.now();
    for (let ask = 0; ask < 50; ask++) await expect(get('a')).rejects.toThrow('Redis does not answer');
    expect(performance.now() - started).toBeLessThan(250);
    await sleep(2000);
    await proxy.heal();
    expect(await untilItAnswers()).toBeLessThan(2000);
    expect(proxy.connections).toBe(1);
  });

  it('OV-1 tells one run of Redis from another', async () => {
    await store.ping();
    const run = store.runOf('any');
    expect(run).toMatch(/^[0-9a-f]{12}$/);
    proxy.reset();
    await untilItAnswers();
    expect(store.runOf('any')).toBe(run);
    await redis.stop('SIGKILL');
    await sleep(50);
    expect(store.runOf('any')).toBeUndefined();
    redis = await redis.restart();
    await untilItAnswers();
    expect(store.runOf('any')).toMatch(/^[0-9a-f]{12}$/);
    expect(store.runOf('any')).not.toBe(run);
  });
});
