import { randomInt } from 'node:crypto';
import { HttpClient, newLearner } from '../support/http';
import type { BenchContext } from './harness/context';
import { conversation } from './harness/conversation';
import { interleave } from './harness/interleave';
import { startLoad, type LoadRequest } from './harness/load';
import { pgbench, type Script } from './harness/pgbench';
import { startApi, startServers } from '../support/platform';
import { appendInOneTrip, appendScript, type ChatKey } from './harness/append-scripts';
import { number } from './harness/table';
import { atLeast, type Measured } from './harness/workload';
import { assertDurable, copyDatabase, untilRelayed } from './harness/writes';

const CLIENTS = 8;
const LEARNERS = 4;
const CHATS_EACH = 8;
const MESSAGES = 10;

export const name = 'append';
export const goal = `≥ 0.6× pgbench with the same statements, synchronous_commit=on, ${CLIENTS} clients on both sides`;

/** A message is appended: row, audit row and outbox row, durable before the answer. */
export async function run(context: BenchContext): Promise<Measured> {
  const servers = await startServers(context);
  await assertDurable(servers);
  const api = await startApi(context, servers.settings);
  const { requests, chats } = await startChats(new HttpClient(api.url));

  const { url, restarted } = await copyDatabase(context, servers, api);
  const { url: apiUrl, pid } = restarted;

  const put = await startLoad(context);
  const limit = (script: (chat: ChatKey) => string) => (seconds: number) => {
    const scripts: Script[] = chats.map((chat) => ({ name: chat.chatId, text: script(chat) }));
    return pgbench(context, { url, clients: CLIENTS, seconds, scripts });
  };
  const {
    platform,
    limit: sequential,
    oneTrip,
  } = await interleave(context, {
    platform: async (seconds) => {
      const figures = await put(pid, { url: apiUrl, connections: CLIENTS, seconds, requests });
      return { ...figures, backlog: await untilRelayed(servers) };
    },
    limit: limit(appendScript),
    oneTrip: limit(appendInOneTrip),
  });
  const oneTripRatio = platform.perSecond / oneTrip.perSecond;
  return {
    checks: [atLeast('throughput', platform.perSecond, sequential.perSecond, 'messages/s', 0.6)],
    cpuMicros: platform.cpuMicros,
    details: {
      p50: platform.p50,
      p99: platform.p99,
      limitP50: sequential.p50,
      limitP99: sequential.p99,
      oneTripPerSecond: oneTrip.perSecond,
      oneTripRatio,
      backlog: platform.backlog,
      serverCpu: platform.serverCpu,
      clientCpu: platform.clientCpu,
    },
    notes: [
      `The API process takes ${number(platform.cpuMicros)} µs CPU a request and keeps ${number(platform.serverCpu)} of a core busy, ` +
        `the client ${number(platform.clientCpu)}`,
      `\`pgbench\` with the same work in one trip reaches ${number(oneTrip.perSecond)}/s, of which this is ${oneTripRatio.toFixed(2)}×`,
      `when a run ended, ${number(platform.backlog)} events were left in the outbox`,
    ],
  };
}

/** Several chats of several learners, each with some messages. */
async function startChats(http: HttpClient): Promise<{ requests: LoadRequest[]; chats: ChatKey[] }> {
  const requests: LoadRequest[] = [];
  const chats: ChatKey[] = [];
  const body = JSON.stringify(conversation(1)[0]);
  for (let learnerIndex = 0; learnerIndex < LEARNERS; learnerIndex++) {
    const learner = await newLearner(http);
    for (let index = 0; index < CHATS_EACH; index++) {
      const chat = await learner.http.post('/v1/chats', { title: `Chat ${index}`, messages: conversation(MESSAGES) });
      if (chat.status !== 201) throw new Error(`A chat answered ${chat.status}: ${chat.text}`);
      const headers = { authorization: `Bearer ${learner.token}`, 'content-type': 'application/json' };
      // In no order, so that connections seldom wait for the same chat.
      requests.splice(randomInt(requests.length + 1), 0, {
        method: 'POST',
        path: `/v1/chats/${chat.body.id}/messages`,
        headers,
        body,
      });
      chats.push({ userId: learner.id, chatId: chat.body.id });
    }
  }
  return { requests, chats };
}
