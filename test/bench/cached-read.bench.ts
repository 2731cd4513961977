import { join } from 'node:path';
import { createClient } from 'redis4';
import { HttpClient, newLearner } from '../support/http';
import type { BareRoute } from './bare-fastify';
import type { BenchContext } from './harness/context';
import { conversation } from './harness/conversation';
import { interleave } from './harness/interleave';
import { startLoad, type LoadRequest } from './harness/load';
import { startApi, startServers } from '../support/platform';
import { Helper } from './harness/processes';
import { assertSame } from './harness/same';
import { number } from './harness/table';
import { atLeast, atMost, type Measured } from './harness/workload';

const CONNECTIONS = 32;
const STEPS = [50, 200, 400];
const MESSAGES = 50;

export const name = 'cached-read';
export const goal = `≥ 0.85× a bare Fastify that does the same Redis operations, p99 ≤ 5 ms at ${CONNECTIONS} connections`;

/** A chat with 50 messages, read with a session while it is cached. */
export async function run(context: BenchContext): Promise<Measured> {
  const { redis, settings } = await startServers(context);
  const api = await startApi(context, settings);
  const learner = await newLearner(new HttpClient(api.url));
  const chat = await learner.http.post('/v1/chats', { title: 'Homework', messages: conversation(MESSAGES) });
  const path = `/v1/chats/${chat.body.id}`;
  const expected = await learner.http.get(path);

  if (expected.body.messages.length !== MESSAGES) throw new Error('The view has not all messages');
  const route = await routeOf(redis.url, expected.text);
  const startBare = async (asText: boolean) => {
    const bare = await context.use(
      () => Helper.start(join(__dirname, 'bare-fastify.ts')),
      (helper) => helper.stop(),
    );
    const url = `http://127.0.0.1:${await bare.ask<number>({ ...route, asText })}`;
    assertSame(await new HttpClient(url).get(path), expected);
    return { pid: bare.pid, url };
  };
  const bare = await startBare(false);
  const bareText = await startBare(true);

  const put = await startLoad(context);
  const requests: LoadRequest[] = [{ method: 'GET', path, headers: { authorization: `Bearer ${learner.token}` } }];
  const load =
    (server: { pid: number; url: string }, connections = CONNECTIONS) =>
    (seconds: number) =>
      put(server.pid, { url: server.url, connections, seconds, requests });
  const { platform, limit, text } = await interleave(context, { platform: load(api), limit: load(bare), text: load(bareText) });
  const steps = [];
  for (const connections of STEPS) {
    const { here, there } = await interleave(context, { here: load(api, connections), there: load(bare, connections) });
    steps.push({ connections, here, there });
  }
  const textRatio = platform.perSecond / text.perSecond;
  return {
    checks: [
      atLeast('throughput', platform.perSecond, limit.perSecond, 'requests/s', 0.85),
      atMost('p99', platform.p99, 'ms', 5, limit.p99),
    ],
    cpuMicros: platform.cpuMicros,
    details: {
      limitCpuMicros: limit.cpuMicros,
      p50: platform.p50,
      p99: platform.p99,
      limitP50: limit.p50,
      limitP99: limit.p99,
      textPerSecond: text.perSecond,
      textRatio,
      textCpuMicros: text.cpuMicros,
      bytes: Buffer.byteLength(expected.text),
      serverCpu: platform.serverCpu,
      limitServerCpu: limit.serverCpu,
      clientCpu: platform.clientCpu,
      limitClientCpu: limit.clientCpu,
      ...Object.fromEntries(
        steps.flatMap(({ connections, here, there }) => [
          [`perSecondOf${connections}`, here.perSecond],
          [`p95Of${connections}`, here.p95],
          [`limitPerSecondOf${connections}`, there.perSecond],
          [`limitP95Of${connections}`, there.p95],
        ]),
      ),
    },
    notes: [
      `CPU of the server process for a request: ${number(platform.cpuMicros)} µs, of the limit ${number(limit.cpuMicros)} µs`,
      `it keeps ${number(platform.serverCpu)} of a core busy (limit ${number(limit.serverCpu)}), the client ${number(platform.clientCpu)} ` +
        `(limit ${number(limit.clientCpu)})`,
      `a bare server that takes the view out of Redis as a string needs ${number(text.cpuMicros)} µs and reaches ` +
        `${number(text.perSecond)}/s, of which this is ${textRatio.toFixed(2)}×`,
      ...steps.map(
        ({ connections, here, there }) =>
          `with ${connections} connections: ${number(here.perSecond)}/s, p95 ${number(here.p95)} ms ` +
          `(limit ${number(there.perSecond)}/s, ${number(there.p95)} ms)`,
      ),
    ],
  };
}

/**
 * The keys that the API itself has just used: there is one session, one generation and one view. The limit has a copy of the
 * view that is not sealed, and has nothing to open.
 */
async function routeOf(redisUrl: string, readable: string): Promise<Omit<BareRoute, 'asText'>> {
  const client = createClient({ url: redisUrl });
  await client.connect();
  const keys = await client.keys('*');
  const one = (what: string, matches: (key: string) => boolean) => {
    const found = keys.filter(matches);
    if (found.length !== 1) throw new Error(`Expected one ${what} in Redis, found ${found.length}`);
    return found[0]!;
  };
  const isGeneration = (key: string) => key.includes(':generation:');
  const isView = (key: string) => /:chat:/.test(key) && !isGeneration(key);
  const view = one('view', isView);
  const copy = `${view}:readable`;
  await client.set(copy, `${(await client.get(view))!.split('\n', 1)[0]}\n${readable}`);
  await client.disconnect();
  return {
    redisUrl,
    session: one('session', (key) => key.startsWith('session:')),
    rate: one('rate limit', (key) => key.startsWith('ratelimit:{u:')),
    view: [one('generation', (key) => isGeneration(key) && key.includes('chat:')), copy],
  };
}
