import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProcess } from '../support/api-process';
import { HttpClient, newLearner } from '../support/http';
import { startApi, startServers } from '../support/platform';
import { freePort } from '../support/servers';
import type { BenchContext } from './harness/context';
import { conversation } from './harness/conversation';
import { startLoad, type LoadRequest } from './harness/load';
import { Program } from './harness/processes';
import { number } from './harness/table';
import { atMost, type Measured } from './harness/workload';

const CONNECTIONS = 32;
/** A process that has just started has not given back yet what it only needed for that. */
const SETTLE_MS = 5000;
/** Of all requests: until then the heap still grows to what the load needs. */
const WARM_UP = 0.25;

const BARE = `
  const app = require('fastify')();
  app.get('/', async () => ({ hello: 'world' }));
  app.listen({ port: Number(process.argv[1]) });`;

export const name = 'memory';
export const goal =
  'RSS after the start: api ≤ 220 MB, worker without the model ≤ 180 MB; under requests it grows by less than 5 %';

/** What the processes of a served installation take, after their start and over many requests. */
export async function run(context: BenchContext): Promise<Measured> {
  const { settings } = await startServers(context);
  const api = await startApi(context, settings);
  const worker = await context.use(
    () => ApiProcess.start({ NODE_ENV: 'production', ...settings }, 'worker'),
    (each) => each.stop('SIGKILL'),
  );
  const bare = await startBare(context);
  await sleep(SETTLE_MS);
  const [apiStart, workerStart, bareStart] = [api.pid, worker.pid, bare.pid].map(rssOf) as [number, number, number];
  context.progress(`  api ${number(apiStart)} MB, worker ${number(workerStart)} MB, bare Fastify ${number(bareStart)} MB`);

  const put = await startLoad(context);
  const requests = await requestsOf(api.url);
  const load = (server: { pid: number; url: string }, seconds: number, sent = requests) =>
    put(server.pid, { url: server.url, connections: CONNECTIONS, seconds, requests: sent });
  const seconds = context.runs * context.seconds;
  await load(api, Math.ceil(seconds * WARM_UP));
  const half = Math.ceil((seconds * (1 - WARM_UP)) / 2);
  const before = await highest(api.pid, load(api, half));
  const after = await highest(api.pid, load(api, half));
  await load(bare, context.seconds, [{ method: 'GET', path: '/', headers: {} }]);
  const sent = Math.round(seconds * before.perSecond);
  const growth = (100 * (after.rss - before.rss)) / before.rss;
  return {
    perRun: `${seconds} s of requests in all`,
    checks: [
      atMost('api after the start', apiStart, 'MB', 220, bareStart),
      atMost('worker after the start', workerStart, 'MB', 180, bareStart),
      atMost('api under load', after.rss, 'MB', Math.round(1.05 * before.rss), rssOf(bare.pid)),
    ],
    details: { requests: sent, apiStart, workerStart, bareStart, firstHalf: before.rss, secondHalf: after.rss, growth },
    notes: [
      `Over about ${sent.toLocaleString('en-US')} cached reads the RSS of the API is at most ${number(before.rss)} MB in the first half and ` +
        `${number(after.rss)} MB in the second (${growth.toFixed(1)} %)`,
    ],
  };
}

async function startBare(context: BenchContext): Promise<{ pid: number; url: string }> {
  const port = await freePort();
  const bare = await context.use(
    async () => new Program(process.execPath, ['-e', BARE, String(port)]),
    (program) => program.stop(),
  );
  return { pid: bare.pid, url: `http://127.0.0.1:${port}` };
}

async function requestsOf(url: string): Promise<LoadRequest[]> {
  const learner = await newLearner(new HttpClient(url));
  const chat = await learner.http.post('/v1/chats', { title: 'Homework', messages: conversation(50) });
  return [{ method: 'GET', path: `/v1/chats/${chat.body.id}`, headers: { authorization: `Bearer ${learner.token}` } }];
}

/** The most that a process takes while it is under load. */
async function highest(pid: number, load: Promise<{ perSecond: number }>): Promise<{ rss: number; perSecond: number }> {
  let rss = 0;
  const timer = setInterval(() => (rss = Math.max(rss, rssOf(pid))), 100);
  const { perSecond } = await load.finally(() => clearInterval(timer));
  return { rss, perSecond };
}

/** In MB. */
function rssOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
