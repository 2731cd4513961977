import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type RedisClientType } from 'redis4';
import { ClusterNotifier } from '../../libs/platform/src/realtime/cluster-notifier';
import { MemoryNotifier } from '../../libs/platform/src/realtime/memory-notifier';
import type { Notifier } from '../../libs/platform/src/realtime/notifier';
import { RedisNotifier } from '../../libs/platform/src/realtime/redis-notifier';
import { until } from '../e2e/support';
import { connectToCommonCluster } from '../support/common-cluster';
import { startRedis, type RedisServer } from '../support/servers';

let redis: RedisServer;
let client: RedisClientType;
let cluster: Awaited<ReturnType<typeof connectToCommonCluster>>;
/** As the application's own client: while Redis is away a command fails at once. */
const connect = async () => {
  const one = createClient({ url: redis.url, disableOfflineQueue: true, socket: { reconnectStrategy: 50 } }) as RedisClientType;
  one.on('error', () => undefined);
  return one.connect();
};
const open: (RedisNotifier | ClusterNotifier)[] = [];
const notifier = (of = client) => {
  const one = new RedisNotifier(of);
  open.push(one);
  return one;
};
const clusterNotifier = () => {
  const one = new ClusterNotifier(cluster.cluster);
  open.push(one);
  return one;
};
beforeAll(async () => {
  redis = await startRedis();
  client = await connect();
  cluster = await connectToCommonCluster();
});
afterAll(async () => {
  for (const one of open) await one.onApplicationShutdown();
  await cluster?.close();
  await client?.disconnect();
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
  ['a Redis Cluster', clusterNotifier],
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
    const other = await connect();
    await untilHeard(notifier(other), ada, heard);
    await other.disconnect();
  });

  it('goes on when Redis was away, also for who has begun to listen meanwhile, and takes nothing but ids', async () => {
    const one = notifier();
    const [ada, ben] = [randomUUID(), randomUUID()];
    const heard: Record<string, string[]> = { [ada]: [], [ben]: [] };
    one.listen(ada, (xid) => heard[ada]!.push(xid));
    await untilHeard(one, ada, heard[ada]!);
    await redis.stop('SIGKILL');
    one.tell(ada, '3'); // is lost, and nobody fails
    one.listen(ben, (xid) => heard[ben]!.push(xid));
    await sleep(200);
    redis = await redis.restart();
    await until(async () => client.isReady);
    for (const learner of [ada, ben]) await untilHeard(one, learner, heard[learner]!);
    await client.sPublish(`events:{u:${ada}}`, 'garbage');
    one.tell(ada, '4');
    await until(async () => heard[ada]!.length > 0);
    expect(heard[ada]).toEqual(['4']);
  });
});
