import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadSettings, RedisConnections } from '@studently/platform';
import { ClusterNotifier } from '../../libs/platform/src/realtime/cluster-notifier';
import { MemoryNotifier } from '../../libs/platform/src/realtime/memory-notifier';
import type { Notifier } from '../../libs/platform/src/realtime/notifier';
import { RedisNotifier } from '../../libs/platform/src/realtime/redis-notifier';
import { until, withRedis } from '../e2e/support';
import { connectToCommonCluster } from '../support/common-cluster';
import { startRedis, type RedisServer } from '../support/servers';

let redis: RedisServer;
let cluster: Awaited<ReturnType<typeof connectToCommonCluster>>;
const open: { onApplicationShutdown(): unknown }[] = [];
const opened = <One extends { onApplicationShutdown(): unknown }>(one: One): One => {
  open.unshift(one); // a notifier ends before its connections
  return one;
};
/** With connections of its own, as a process has them. */
const notifier = (url = redis.url) => {
  const connections = opened(new RedisConnections(loadSettings({ DATABASE_URL: 'postgres://unused/unused', REDIS_URL: url })));
  return opened(new RedisNotifier(connections.toSingle(url)));
};
beforeAll(async () => {
  redis = await startRedis();
  cluster = await connectToCommonCluster();
});
afterAll(async () => {
  for (const one of open) await one.onApplicationShutdown();
  await cluster?.close();
  await redis?.stop();
});

/** Tells until it is heard: a subscription takes a moment. */
async function untilHeard(teller: Notifier, learner: string, heard: string[]): Promise<void> {
  await until(async () => {
    teller.tell(learner, '1');
    await sleep(20);
    return heard.includes('1');
  });
  await sleep(50);
  heard.length = 0;
}

describe.each<[string, () => Notifier]>([
  ['Redis', () => notifier()],
  ['a Redis Cluster', () => opened(new ClusterNotifier(cluster.cluster))],
  ['memory', () => new MemoryNotifier()],
])('A notifier in %s', (_where, make) => {
  it('TU-5 tells whoever listens to the learner, in order, and nobody else', async () => {
    const one = make();
    const [ada, ben] = [randomUUID(), randomUUID()];
    const heard: Record<string, string[]> = { [ada]: [], [ben]: [] };
    for (const learner of [ada, ben]) one.listen(learner, (xid) => heard[learner]!.push(xid));
    for (const learner of [ada, ben]) await untilHeard(one, learner, heard[learner]!);
    for (const xid of ['7', '8', '9223372036854775807']) one.tell(ada, xid);
    one.tell(randomUUID(), '10');
    await until(async () => heard[ada]!.length === 3);
    expect(heard).toEqual({ [ada]: ['7', '8', '9223372036854775807'], [ben]: [] });
  });

  it('TU-5 tells nothing to whoever has ceased to listen, and again to who listens anew', async () => {
    const one = make();
    const ada = randomUUID();
    const [first, second]: string[][] = [[], []];
    one.listen(ada, (xid) => first!.push(xid));
    await untilHeard(one, ada, first!);
    one.ignore(ada);
    one.tell(ada, '2');
    await sleep(100);
    expect(first).toEqual([]);
    one.listen(ada, (xid) => second!.push(xid));
    await untilHeard(one, ada, second!);
    expect(first).toEqual([]);
  });
});

describe('A notifier in Redis', () => {
  it('OV-3 tells other processes', async () => {
    const ada = randomUUID();
    const heard: string[] = [];
    notifier().listen(ada, (xid) => heard.push(xid));
    await untilHeard(notifier(), ada, heard);
  });

  it('goes on whenever Redis was away, also for who has begun to listen or has ceased meanwhile, and takes nothing but ids', async () => {
    const [one, other] = [notifier(), notifier()];
    const [ada, ben, eve] = [randomUUID(), randomUUID(), randomUUID()];
    const heard: Record<string, string[]> = { [ada]: [], [ben]: [], [eve]: [] };
    const listen = (learner: string) => one.listen(learner, (xid) => heard[learner]!.push(xid));
    for (const learner of [ada, eve]) listen(learner);
    for (const learner of [ada, eve]) await untilHeard(one, learner, heard[learner]!);
    for (const outage of [1, 2]) {
      await redis.stop('SIGKILL');
      one.tell(ada, '3'); // is lost, and nobody fails
      if (outage === 1) listen(ben);
      one.ignore(eve);
      await sleep(200);
      redis = await redis.restart();
      for (const teller of [one, other]) for (const learner of [ada, ben]) await untilHeard(teller, learner, heard[learner]!);
    }
    await withRedis(redis.url, async (client) => {
      expect(await client.sendCommand(['PUBSUB', 'SHARDNUMSUB', `events:{u:${eve}}`])).toEqual([`events:{u:${eve}}`, 0]);
      await client.sPublish(`events:{u:${ada}}`, 'garbage');
    });
    one.tell(ada, '4');
    await until(async () => heard[ada]!.length > 0);
    expect(heard[ada]).toEqual(['4']);
  }, 30_000);

  it('tells and hears once Redis is there, which was away at the start', async () => {
    await redis.stop();
    const one = notifier();
    const ada = randomUUID();
    const heard: string[] = [];
    one.listen(ada, (xid) => heard.push(xid));
    one.tell(ada, '3');
    await sleep(1500); // it has tried again
    redis = await redis.restart();
    await untilHeard(one, ada, heard);
  }, 30_000);
});
