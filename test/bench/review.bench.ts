import { randomInt } from 'node:crypto';
import { HttpClient, newLearner } from '../support/http';
import type { BenchContext } from './harness/context';
import { interleave } from './harness/interleave';
import { startLoad, type LoadRequest } from './harness/load';
import { pgbench, type Script } from './harness/pgbench';
import { startApi, startServers } from '../support/platform';
import { itemId, reviewInOneTrip, reviewScript, type Reviewer } from './harness/review-scripts';
import { number } from './harness/table';
import { atLeast, type Measured } from './harness/workload';
import { assertDurable, copyDatabase, untilRelayed } from './harness/writes';

const CLIENTS = 8;
const LEARNERS = 4;
const ITEMS_EACH = 500;

export const name = 'review';
export const goal = `≥ 0.6× pgbench with the same statements, synchronous_commit=on, ${CLIENTS} clients on both sides`;

/** A card is reviewed now: review, schedule, audit row and outbox row, durable before the answer. */
export async function run(context: BenchContext): Promise<Measured> {
  const servers = await startServers(context);
  await assertDurable(servers);
  const api = await startApi(context, servers.settings);
  const { requests, reviewers } = await addItems(new HttpClient(api.url));
  const { url, restarted } = await copyDatabase(context, servers, api);

  const put = await startLoad(context);
  const limit = (script: (reviewer: Reviewer) => string) => (seconds: number) => {
    const scripts: Script[] = reviewers.map((reviewer) => ({ name: reviewer.userId, text: script(reviewer) }));
    return pgbench(context, { url, clients: CLIENTS, seconds, scripts });
  };
  const measured = await interleave(context, {
    platform: async (seconds) => {
      const figures = await put(restarted.pid, { url: restarted.url, connections: CLIENTS, seconds, requests });
      return { ...figures, backlog: await untilRelayed(servers) };
    },
    limit: limit(reviewScript),
    oneTrip: limit(reviewInOneTrip),
  });
  const { platform, limit: sequential, oneTrip } = measured;
  const oneTripRatio = platform.perSecond / oneTrip.perSecond;
  return {
    checks: [atLeast('throughput', platform.perSecond, sequential.perSecond, 'reviews/s', 0.6)],
    cpuMicros: platform.cpuMicros,
    details: {
      p50: platform.p50,
      p95: platform.p95,
      p99: platform.p99,
      limitP50: sequential.p50,
      limitP95: sequential.p95,
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

/** Several learners, each with many cards. */
async function addItems(http: HttpClient): Promise<{ requests: LoadRequest[]; reviewers: Reviewer[] }> {
  const requests: LoadRequest[] = [];
  const reviewers: Reviewer[] = [];
  for (let learnerIndex = 0; learnerIndex < LEARNERS; learnerIndex++) {
    const learner = await newLearner(http);
    const ids = Array.from({ length: ITEMS_EACH }, (_, index) => itemId(index + 1));
    const content = { front: 'der Limes', back: 'the limit: what the terms of a sequence come as close to as one likes' };
    const lines = ids.map((id) => JSON.stringify({ id, type: 'flashcard', content, tags: ['analysis'] })).join('\n');
    const { body, text } = await learner.http.post('/v1/study/items/bulk', lines, {
      headers: { 'content-type': 'application/x-ndjson' },
    });
    if (body.accepted !== ITEMS_EACH) throw new Error(`The import answered ${text}`);
    reviewers.push({ userId: learner.id, items: ITEMS_EACH });
    const headers = { authorization: `Bearer ${learner.token}`, 'content-type': 'application/json' };
    for (const id of ids) {
      // In no order, so that connections seldom wait for the same card.
      requests.splice(randomInt(requests.length + 1), 0, {
        method: 'POST',
        path: `/v1/study/items/${id}/reviews`,
        headers,
        body: JSON.stringify({ clientReviewId: '[<id>]', rating: 3, durationMs: 4200 }),
      });
    }
  }
  return { requests, reviewers };
}
