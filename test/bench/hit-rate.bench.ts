import { createClient, type RedisClientType } from 'redis4';
import { SingleRedis } from '../../libs/platform/src/cache/redis-client';
import { RedisStore } from '../../libs/platform/src/cache/redis-store';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { startApi, startServers } from '../support/platform';
import { History } from '../torture/freshness/history';
import { cachedRequests, zipf } from './harness/cache';
import type { BenchContext } from './harness/context';
import { conversation } from './harness/conversation';
import { interleave, percentile } from './harness/interleave';
import { number } from './harness/table';
import { atMost, type Measured } from './harness/workload';

const LEARNERS = 20;
const CHATS = 25;
const MESSAGES = 10;
const CONNECTIONS = 16;
const WRITES = 0.05;
const GETS = 20_000;
const GOAL = 0.9;

export const name = 'hit-rate';
export const goal = `≥ ${GOAL} of reads from the cache, none stale: ${LEARNERS * CHATS} chats in a Zipf distribution, 5 % writes, two processes`;

interface Chat {
  learner: TestLearner;
  path: string;
  isBeingWritten: boolean;
}

/** Two processes serve a mix of reads and writes; the checker of freshness looks on. */
export async function run(context: BenchContext): Promise<Measured> {
  const { redis, settings } = await startServers(context);
  const apis = await Promise.all([startApi(context, settings), startApi(context, settings)]);
  const urls = apis.map(({ url }) => url);
  const client = await context.use(
    async () => (await createClient({ url: redis.url }).connect()) as RedisClientType,
    (connection) => connection.disconnect(),
  );
  const empty = await usedMemory(client);
  const chats = await makeChats(new HttpClient(urls[0]!));
  await readAll(urls, chats);
  const full = await usedMemory(client);
  const history = new History();
  let stale = 0;

  const mix = (share: number) => async (seconds: number) => {
    await client.configSet({
      maxmemory: share < 1 ? String(Math.round(empty + share * (full - empty))) : '0',
      'maxmemory-policy': 'allkeys-lru',
    });
    await readAll(urls, chats);
    const [requests, evicted, started] = [await cachedRequests(urls), await evictedKeys(client), performance.now()];
    const operations = await putMix(urls, chats, history, seconds);
    const elapsed = (performance.now() - started) / 1000;
    const { hit, all } = await cachedRequests(urls);
    stale += history.judge().stale.length;
    return {
      hitRate: (hit - requests.hit) / (all - requests.all),
      evictedPerSecond: ((await evictedKeys(client)) - evicted) / elapsed,
      perSecond: operations / elapsed,
    };
  };
  const { whole, half } = await interleave(context, { whole: mix(1), half: mix(0.5) });
  await client.configSet({ maxmemory: '0' });
  const { get, ping } = await latencies(client, chats[0]!, urls[0]!);
  return {
    checks: [
      { name: 'hit rate', value: whole.hitRate, unit: 'of reads', goal: `≥ ${GOAL}`, met: whole.hitRate >= GOAL },
      { name: 'stale reads', value: stale, unit: 'reads', goal: '0', met: stale === 0 },
      atMost('p99 of a get', get.p99, 'ms', 5, ping.p99),
      {
        name: 'evicted with room',
        value: whole.evictedPerSecond,
        unit: 'items/s',
        goal: '0',
        met: whole.evictedPerSecond === 0,
      },
    ],
    details: {
      getP50: get.p50,
      getP99: get.p99,
      pingP50: ping.p50,
      pingP99: ping.p99,
      perSecond: whole.perSecond,
      halfHitRate: half.hitRate,
      halfEvictedPerSecond: half.evictedPerSecond,
      halfPerSecond: half.perSecond,
    },
    notes: [
      `a get of a generation and its view takes ${number(get.p50)} ms (p50) and ${number(get.p99)} ms (p99), a bare PING ${number(ping.p50)} and ${number(ping.p99)} ms`,
      `with memory for half of the views Redis evicts ${number(half.evictedPerSecond)} items/s, and ${half.hitRate.toFixed(3)} of the reads are hits`,
    ],
  };
}

async function makeChats(http: HttpClient): Promise<Chat[]> {
  const chats: Chat[] = [];
  for (let index = 0; index < LEARNERS; index++) {
    const learner = await newLearner(http);
    for (let chat = 0; chat < CHATS; chat++) {
      const { body } = await learner.http.post('/v1/chats', { title: `Chat ${chat}`, messages: conversation(MESSAGES) });
      chats.push({ learner, path: `/v1/chats/${body.id}`, isBeingWritten: false });
    }
  }
  return chats;
}

/** From here on a miss is not the first of its view. */
async function readAll(urls: string[], chats: Chat[]): Promise<void> {
  for (const { learner, path } of chats) await new HttpClient(urls[0]!, learner.token).get(path);
}

/** @returns how many requests were answered */
async function putMix(urls: string[], chats: Chat[], history: History, seconds: number): Promise<number> {
  const rank = zipf(chats.length);
  const until = performance.now() + seconds * 1000;
  let operations = 0;
  const lane = async () => {
    while (performance.now() < until) {
      const chat = chats[rank()]!;
      const http = new HttpClient(urls[operations++ % urls.length]!, chat.learner.token);
      const isWrite = Math.random() < WRITES && !chat.isBeingWritten;
      chat.isBeingWritten ||= isWrite;
      const sent = performance.now();
      const { status, body } = isWrite
        ? await http.post(`${chat.path}/messages`, { role: 'user', content: 'And then?' })
        : await http.get(chat.path);
      if (status >= 300) throw new Error(`${chat.path} was answered by ${status}`);
      const level = isWrite ? body.seq : body.messageCount;
      history.record({ kind: isWrite ? 'write' : 'read', thing: chat.path, level, sent, answered: performance.now() });
      if (isWrite) chat.isBeingWritten = false;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  return operations;
}

async function latencies(client: RedisClientType, { learner, path }: Chat, url: string) {
  await new HttpClient(url, learner.token).get(path);
  const id = path.split('/').at(-1)!;
  const keys = (await client.keys(`cache:{u:${learner.id}}:*`)).filter((key) => key.includes(id));
  if (keys.length !== 2) throw new Error(`Expected a generation and a view in Redis, found ${keys.length}`);
  const store = new RedisStore(new SingleRedis(client));
  const timesOf = async (work: () => Promise<unknown>) => {
    const times = new Float64Array(GETS);
    for (let index = 0; index < GETS; index++) {
      const started = performance.now();
      await work();
      times[index] = performance.now() - started;
    }
    times.sort();
    return { p50: percentile(times, 50), p99: percentile(times, 99) };
  };
  return { get: await timesOf(() => store.get(keys)), ping: await timesOf(() => store.ping()) };
}

const numberIn = async (client: RedisClientType, section: string, name: string) =>
  Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(await client.info(section))![1]);
const usedMemory = (client: RedisClientType) => numberIn(client, 'memory', 'used_memory');
const evictedKeys = (client: RedisClientType) => numberIn(client, 'stats', 'evicted_keys');
