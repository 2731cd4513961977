import { setTimeout as sleep } from 'node:timers/promises';
import { loadSettings } from '@studently/platform';
import { BullJobQueue } from '../../libs/platform/src/jobs/bull-job-queue';
import type { Delivery } from '../../libs/platform/src/jobs/job';
import { MOST_WAITING, type JobQueue } from '../../libs/platform/src/jobs/job-queue';
import { JobsRedis } from '../../libs/platform/src/jobs/jobs-redis';
import { MemoryJobQueue } from '../../libs/platform/src/jobs/memory-job-queue';
import { until, withRedis } from '../e2e/support';
import { startRedis, type RedisServer } from '../support/servers';
import { TcpProxy } from '../support/tcp-proxy';

const JOB = 'do-it';
const settingsOf = (redis: RedisServer) => loadSettings({ DATABASE_URL: 'postgres://unused/unused', REDIS_URL: redis.url });
const bullQueue = (redis: RedisServer, together = 1) => new BullJobQueue(new JobsRedis(settingsOf(redis)), () => together);
/** Until Redis is reached. */
const untilItTakes = (queue: JobQueue, id: number) =>
  until(() => queue.add(JOB, deliveries(id)).then(() => true).catch(() => false)); // prettier-ignore
const deliveries = (...ids: number[]): Delivery[] => ids.map((id) => ({ id: String(id), taken: 0 }));

describe('RED-6 the queue of jobs', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  describe.each([
    ['in memory', () => new MemoryJobQueue()],
    ['in BullMQ', () => bullQueue(redis)],
  ])('%s', (_, open: () => JobQueue) => {
    let queue: JobQueue;
    let done: string[];
    beforeEach(async () => {
      done = [];
      queue = open();
      await until(() => queue.ping().then(() => true).catch(() => false)); // prettier-ignore
    });
    afterEach(async () => {
      await queue.close();
      await withRedis(redis.url, (client) => client.flushAll());
    });
    const note = async ({ id }: Delivery) => void done.push(id);

    it('brings what is added before and after somebody works, each once, in order', async () => {
      await queue.add(JOB, deliveries(1, 2));
      queue.work(JOB, 1, note);
      await queue.add(JOB, deliveries(3));
      await until(async () => done.length === 3);
      await sleep(200);
      expect(done).toEqual(['1', '2', '3']);
    });

    it('holds a delivery once, however often it is added while it waits; another attempt is another delivery', async () => {
      await queue.add(JOB, deliveries(1, 2));
      await queue.add(JOB, deliveries(2, 1));
      expect(await queue.room(JOB)).toBe(MOST_WAITING - 2);
      await queue.add(JOB, [{ id: '1', taken: 1 }]);
      expect(await queue.room(JOB)).toBe(MOST_WAITING - 3);
      queue.work(JOB, 1, note);
      await until(async () => done.length === 3);
      expect(await queue.room(JOB)).toBe(MOST_WAITING);
      await queue.add(JOB, deliveries(1)); // what was done is forgotten
      await until(async () => done.length === 4);
      expect(done).toEqual(['1', '2', '1', '1']);
    });

    it('works on so many at the same time, and no more', async () => {
      let [running, most] = [0, 0];
      queue.work(JOB, 3, async (delivery) => {
        most = Math.max(most, ++running);
        await sleep(50);
        running--;
        await note(delivery);
      });
      await queue.add(JOB, deliveries(1, 2, 3, 4, 5, 6, 7));
      await until(async () => done.length === 7);
      expect(most).toBe(3);
    });

    it('a job that takes long holds up no other job', async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      queue.work(JOB, 1, () => promise);
      queue.work('do-that', 1, note);
      await queue.add(JOB, deliveries(1, 2));
      await queue.add('do-that', deliveries(3));
      await until(async () => done.length === 1);
      resolve();
    });

    it('at its end waits for what is under way, and takes no more', async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      queue.work(JOB, 1, (delivery) => promise.then(() => note(delivery)));
      await queue.add(JOB, deliveries(1, 2));
      await sleep(200);
      const closing = queue.close();
      let isClosed = false;
      void closing.then(() => (isClosed = true));
      await sleep(200);
      expect(isClosed).toBe(false);
      resolve();
      const left = await closing;
      expect(done).toEqual(['1']);
      expect(left.every(({ id }) => id === '2')).toBe(true); // in memory it would be lost
    });
  });

  it('short jobs travel together: what is not begun at the end of a process is given back, and no more than so many are worked on', async () => {
    const queue = bullQueue(redis, 3);
    await until(() => queue.ping().then(() => true).catch(() => false)); // prettier-ignore
    await queue.add(JOB, deliveries(1, 2, 3, 4, 5, 6, 7));
    expect(await queue.room(JOB)).toBe(MOST_WAITING - 9);
    const begun: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    queue.work(JOB, 2, async ({ id }) => {
      begun.push(id);
      if (begun.length > 2) await promise;
    });
    await until(async () => begun.length === 4);
    await sleep(200);
    expect(begun.length).toBe(4);
    const closing = queue.close();
    resolve();
    const left = (await closing).map(({ id }) => id);
    expect([...begun, ...left].sort()).toEqual(['1', '2', '3', '4', '5', '6']); // 7 waits in Redis
    await withRedis(redis.url, (client) => client.flushAll());
  });

  it('RED-7 has no keys in Redis but those of BullMQ under {jobs}, and ids alone in them', async () => {
    const queue = bullQueue(redis);
    await until(() => queue.ping().then(() => true).catch(() => false)); // prettier-ignore
    await queue.add(JOB, deliveries(1, 2));
    await withRedis(redis.url, async (client) => {
      const keys = await client.keys('*');
      expect(keys).toContain(`{jobs}:${JOB}:1-0`);
      expect(keys.filter((key) => !key.startsWith('{jobs}:'))).toEqual([]);
      expect(await client.hGet(`{jobs}:${JOB}:1-0`, 'data')).toBe('[{"id":"1","taken":0}]');
      await client.flushAll();
    });
    await queue.close();
  });

  it('gives up connections on which nothing comes back, though nobody has ended them', async () => {
    const proxy = await TcpProxy.before(redis.port);
    const queue = bullQueue({ ...redis, url: `redis://127.0.0.1:${proxy.port}` });
    const done: string[] = [];
    queue.work(JOB, 1, async ({ id }) => void done.push(id));
    await untilItTakes(queue, 1);
    await until(async () => done.length === 1);
    proxy.forget();
    const forgotten = performance.now();
    await untilItTakes(queue, 2);
    expect(performance.now() - forgotten).toBeLessThan(5000);
    await until(async () => done.length === 2, 30_000);
    await queue.close();
    await proxy.close();
    await withRedis(redis.url, (client) => client.flushAll());
  }, 60_000);

  it('leaves nothing on its connection of what an outage has made useless', async () => {
    const proxy = await TcpProxy.before(redis.port);
    const jobs = new JobsRedis(settingsOf({ ...redis, url: `redis://127.0.0.1:${proxy.port}` }));
    const queue = new BullJobQueue(jobs, () => 1);
    const listeners = () => ['error', 'close', 'ready'].map((event) => jobs['connections'][0]!.listenerCount(event));
    await untilItTakes(queue, 1);
    const before = listeners();
    for (const outage of [2, 3]) {
      await proxy.set({ kind: 'refuse' });
      await sleep(300);
      await proxy.heal();
      await untilItTakes(queue, outage);
    }
    expect(listeners()).toEqual(before);
    await queue.close();
    await proxy.close();
    await withRedis(redis.url, (client) => client.flushAll());
  });

  it('says that Redis is away, and goes on by itself when it is back', async () => {
    let server = await startRedis();
    const queue = bullQueue(server);
    const done: string[] = [];
    queue.work(JOB, 1, async ({ id }) => void done.push(id));
    await until(() => queue.ping().then(() => true).catch(() => false)); // prettier-ignore
    await queue.add(JOB, deliveries(1));
    await until(async () => done.length === 1);
    await server.stop('SIGKILL');
    await expect(queue.ping()).rejects.toThrow();
    await expect(queue.add(JOB, deliveries(2))).rejects.toThrow();
    server = await server.restart();
    await untilItTakes(queue, 3);
    await until(async () => done.length === 2);
    expect(done).toEqual(['1', '3']);
    process.kill(server.pid, 'SIGSTOP');
    const start = performance.now();
    await expect(queue.add(JOB, deliveries(4))).rejects.toThrow();
    await queue.close();
    expect(performance.now() - start).toBeLessThan(10_000);
    await server.stop('SIGKILL');
  }, 40_000);

  it('warns of a Redis that evicts keys, and of nothing else', async () => {
    const jobs = new JobsRedis(settingsOf(redis));
    expect(await jobs.warnings()).toEqual([]);
    await withRedis(redis.url, (client) => client.configSet('maxmemory-policy', 'volatile-lru'));
    expect(await jobs.warnings()).toEqual([expect.stringContaining('noeviction')]);
    await withRedis(redis.url, (client) => client.configSet('maxmemory-policy', 'noeviction'));
  });
});
