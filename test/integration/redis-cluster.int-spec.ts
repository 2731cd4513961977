import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadSettings, RedisConnections } from '@studently/platform';
import type { RedisClient } from '../../libs/platform/src/cache/redis-client';
import { RedisStore } from '../../libs/platform/src/cache/redis-store';
import { rateLimitKey } from '../../libs/platform/src/rate-limit/rate-limit-store';
import { RedisRateLimitStore } from '../../libs/platform/src/rate-limit/redis-rate-limit-store';
import { until } from '../e2e/support';
import { ApiProcess } from '../support/api-process';
import { createTestDatabase } from '../support/database';
import { RedisCluster } from '../support/redis-cluster';
import { startRedis } from '../support/servers';

describe('A Redis Cluster of which one node is named', () => {
  let cluster: RedisCluster;
  let connections: RedisConnections;
  let client: RedisClient;
  let store: RedisStore;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
    const url = cluster.url.split(',')[0];
    connections = new RedisConnections(
      loadSettings({ DATABASE_URL: 'postgres://unused/unused', REDIS_MODE: 'cluster', REDIS_URL: url }),
    );
    client = connections.to(url!);
    store = new RedisStore(client);
    await connections.checkVersions();
  }, 30_000);
  afterAll(async () => {
    await connections?.onApplicationShutdown();
    await cluster?.stop();
  });
  const keyOfAUser = () => `cache:{u:${randomUUID()}}:any`;
  const answers = (key: string) =>
    store.get([key]).then(
      () => true,
      () => false,
    );

  it('RED-2 is known with all its masters, and keeps bytes as they are on each of them', async () => {
    expect(client.nodes()).toHaveLength(3);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_each, byte) => byte));
    const keys = Array.from({ length: 30 }, keyOfAUser);
    expect(new Set(keys.map((key) => cluster.masterOf(key))).size).toBe(3);
    for (const key of keys) {
      await store.set(key, bytes, 60);
      expect(await store.get([key, `${key} not`])).toEqual([bytes, undefined]);
    }
  });

  it('RED-5 counts on each of its masters, before and after they forget the script', async () => {
    const counts = new RedisRateLimitStore(client);
    for (let nr = 0; nr < 20; nr++) {
      const key = rateLimitKey(`u:${randomUUID()}`, 'default');
      expect((await counts.hit(key, 60)).count).toBe(1);
      await Promise.all(client.nodes().map((node) => node.send('SCRIPT', 'FLUSH')));
      expect((await counts.hit(key, 60)).count).toBe(2);
    }
  });

  it('OV-1 SC-2 tells a replica that took over from its master, and a master that comes back from what it was', async () => {
    const key = keyOfAUser();
    const [first] = [cluster.masterOf(key)];
    const runs = [store.runOf(key)];
    const handOver = async () => {
      const before = cluster.masterOf(key);
      const replica = await until(async () => cluster.replicaOf(before));
      await until(async () => {
        execFileSync('redis-cli', ['-p', String(replica), 'cluster', 'failover'], { stdio: 'pipe' }); // refused by one that still copies
        await sleep(500);
        return cluster.masterOf(key) !== before;
      }, 30_000);
      await until(async () => (await answers(key)) && store.runOf(key) !== undefined && !runs.includes(store.runOf(key)));
      runs.push(store.runOf(key));
    };
    await handOver();
    await handOver();
    expect(cluster.masterOf(key)).toBe(first);
    for (const run of runs) expect(run).toMatch(/^[0-9a-f]{12}$/);
    expect(new Set(runs).size).toBe(3);
  }, 60_000);

  it('RED-16 fails at once while a master hangs, for its keys only, and finds the one that takes over', async () => {
    const [lost, kept] = [keyOfAUser(), keyOfAUser()];
    const master = cluster.masterOf(lost);
    const other = cluster.masterOf(kept) === master ? await anotherKey(master) : kept;
    await cluster.signalNode(master, 'SIGSTOP');
    await Promise.allSettled([store.get([lost]), store.get([lost])]);
    await until(async () => {
      const asked = performance.now();
      return !(await answers(lost)) && performance.now() - asked < 100;
    }, 2000);
    expect(await answers(other)).toBe(true);
    await expect(store.ping()).rejects.toThrow();
    await until(() => answers(lost), 15_000);
    expect(cluster.masterOf(lost)).not.toBe(master);
    await cluster.revive(master);
  }, 60_000);

  async function anotherKey(master: number): Promise<string> {
    for (;;) {
      const key = keyOfAUser();
      if (cluster.masterOf(key) !== master) return key;
    }
  }
});

describe('REDIS_MODE', () => {
  it('RED-2 that is not what Redis is ends the start, and says what to do', async () => {
    const [database, alone] = [await createTestDatabase(), await startRedis()];
    const node = process.env['TEST_REDIS_CLUSTER_URL']!.split(',')[0];
    const wrong: [advice: string, settings: NodeJS.ProcessEnv][] = [
      ['This Redis is a node of a cluster: set REDIS_MODE=cluster', { REDIS_URL: node }],
      ['is no cluster: leave out REDIS_MODE=cluster', { REDIS_URL: alone.url, REDIS_MODE: 'cluster' }],
    ];
    try {
      for (const [advice, settings] of wrong) {
        const { code, output } = await ApiProcess.run({ DATABASE_URL: database.url, ...settings });
        expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining(advice) });
        expect(output).toContain('REDIS_MODE_WRONG');
      }
    } finally {
      await alone.stop();
      await database.drop();
    }
  }, 60_000);
});
