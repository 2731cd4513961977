import { setTimeout as sleep } from 'node:timers/promises';
import { newLearner, type Answer, type TestLearner } from '../support/http';
import { DATABASE } from '../support/platform';
import { withClient } from '../support/servers';
import type { Fault, TcpProxy } from '../support/tcp-proxy';
import { Stage } from './freshness/stage';
import type { TortureContext } from './harness/torture';

export const promise =
  'whatever the network before PostgreSQL or Redis does, every request is answered within 5 s, by 503 with Retry-After at worst and ' +
  'never for want of Redis; 2 s after it is over all is well, and no connection is left behind';
/** Faults. */
export const ops = 48;
export const shortOps = 2;

const LONGEST_ANSWER_MS = 5000;
const LONGEST_RECOVERY_MS = 2000;
const GIVEN_UP_MS = 15_000;
const LANES = 12;
const POOL = 10;
/** Beside the pool: one that hears of ended sessions. */
const LONE = 1;
/** One of the stores, and one by which jobs are handed over. */
const REDIS_CONNECTIONS = 2;

type FaultOf = Fault | { kind: 'reset' };

const FAULTS: FaultOf[] = [
  { kind: 'half-open' },
  { kind: 'latency', ms: 100 },
  { kind: 'reset' },
  { kind: 'slow', bytesPerSecond: 2000 },
  { kind: 'truncated', bytes: 5 },
  { kind: 'refuse' },
];

interface Place {
  name: 'postgres' | 'redis';
  fault: FaultOf;
}

interface Asked {
  what: string;
  sent: number;
  tookMs: number;
  /** undefined: it was given up, or the connection to the API broke. */
  answer?: Answer;
}

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const stage = await Stage.open(context, 1, { DATABASE_POOL_SIZE: String(POOL) });
  const learner = await newLearner(stage.nodes[0]!.http);
  const ending = new AbortController();
  const asked: Asked[] = [];
  const chats = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (title) => (await learner.http.post('/v1/chats', { title })).body.id),
  );
  const lanes = Array.from({ length: LANES }, () => lane(context, learner, chats, asked, ending.signal));
  const figures = { slowestMs: 0, slowestRecoveryMs: 0, unavailable: 0, asked: 0 };
  const places: Place[] = [];
  try {
    await sleep(500);
    for (let done = 0; done < context.ops; done++) {
      if (places.length === 0) places.push(...FAULTS.flatMap((fault) => [place('postgres', fault), place('redis', fault)]));
      const [next] = places.splice(context.below(places.length), 1);
      const recovery = await suffer(stage, next!, asked, figures);
      figures.slowestRecoveryMs = Math.max(figures.slowestRecoveryMs, recovery);
      context.progress(`${done + 1} of ${context.ops}`);
    }
  } finally {
    ending.abort();
    await Promise.all(lanes);
  }
  return figures;
}

const place = (name: Place['name'], fault: FaultOf): Place => ({ name, fault });

/** @returns for how many ms after the end of the fault requests still failed */
async function suffer(
  stage: Stage,
  { name, fault }: Place,
  asked: Asked[],
  figures: { slowestMs: number; unavailable: number; asked: number },
): Promise<number> {
  const { context } = stage;
  const [node] = stage.nodes;
  const proxy: TcpProxy = node![name];
  const { pid } = node!.api;
  asked.length = 0;
  if (fault.kind === 'reset') proxy.reset();
  else await proxy.set(fault);
  await sleep(fault.kind === 'half-open' ? LONGEST_ANSWER_MS + 1000 : 2000);
  await proxy.heal();
  const healed = performance.now();
  await sleep(LONGEST_RECOVERY_MS + 1000);

  const where = `${fault.kind} before ${name}`;
  let recovery = 0;
  for (const { what, sent, tookMs, answer } of asked) {
    const is = answer ? `${answer.status} ${answer.body?.code ?? ''}` : 'no answer';
    const told = () =>
      `${where}: ${what} was answered by ${is} after ${Math.round(tookMs)} ms, sent ${Math.round(sent - healed)} ms after its end`;
    const isWell = answer !== undefined && answer.status < 300;
    const isToldToWait = answer?.status === 503 && Number(answer.headers.get('retry-after')) >= 1;
    const isTooLate = sent - healed > LONGEST_RECOVERY_MS;
    context.attempt(tookMs <= LONGEST_ANSWER_MS && (isWell || (isToldToWait && name === 'postgres' && !isTooLate)), told);
    if (!isWell) recovery = Math.max(recovery, sent - healed);
    figures.slowestMs = Math.max(figures.slowestMs, tookMs);
    figures.unavailable += Number(!isWell);
  }
  figures.asked += asked.length;
  context.attempt(
    node!.api.pid === pid && (await node!.http.get('/health/live')).status === 200,
    () => `${where}: the process has died`,
  );
  await judgeConnections(stage, where);
  return recovery;
}

/** None more than the process may have, none in a transaction that nobody goes on with. */
async function judgeConnections({ context, nodes, postgres }: Stage, where: string): Promise<void> {
  const [node] = nodes;
  const { rows } = await withClient(postgres.url(DATABASE), (client) =>
    client.query<{ open: number; left: number }>(
      `select count(*)::int as open, (count(*) filter (where state like 'idle in transaction%' and now() - state_change > interval '1 s'))::int as left
       from pg_stat_activity where application_name like 'studently%'`,
    ),
  );
  const { open, left } = rows[0]!;
  const most = POOL + LONE;
  context.attempt(
    open <= most && left === 0,
    () => `${where}: PostgreSQL has ${open} connections, ${left} of them left in a transaction`,
  );
  context.attempt(
    node!.postgres.connections <= most,
    () => `${where}: ${node!.postgres.connections} connections to PostgreSQL`,
  );
  context.attempt(
    node!.redis.connections <= REDIS_CONNECTIONS,
    () => `${where}: ${node!.redis.connections} connections to Redis`,
  );
}

/** One request after the other, each in its turn of a kind: cached, from PostgreSQL, written. */
async function lane(
  context: TortureContext,
  { http }: TestLearner,
  chats: string[],
  asked: Asked[],
  ended: AbortSignal,
): Promise<void> {
  const readChat = () => http.get(`/v1/chats/${context.pick(chats)}`);
  const requests: [what: string, ask: () => Promise<Answer>][] = [
    ['a cached read', readChat],
    ['a cached read', readChat],
    ['a list', () => http.get('/v1/chats')],
    ['a message', () => http.post(`/v1/chats/${context.pick(chats)}/messages`, { role: 'user', content: 'Why?' })],
  ];
  while (!ended.aborted) {
    const [what, ask] = context.pick(requests);
    const sent = performance.now();
    const answer = await Promise.race([ask().catch(() => undefined), sleep(GIVEN_UP_MS)]);
    asked.push({ what, sent, tookMs: performance.now() - sent, answer: answer ?? undefined });
    await sleep(10);
  }
}
