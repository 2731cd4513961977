import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient, logIn, newLearner, type TestLearner } from '../support/http';
import { History } from './freshness/history';
import { Stage } from './freshness/stage';
import { Traffic } from './freshness/traffic';
import type { TortureContext } from './harness/torture';

export const promise =
  'while Redis is killed, flushed or full under load nothing is answered wrongly, at least 99.9 % of reads are served, no session is lost or ' +
  'revived, and the processes reach it again within 2 s';
/** Losses of Redis. */
export const ops = 20;
export const shortOps = 2;

const LONGEST_MS = 2000;
const SERVED = 0.999;

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const stage = await Stage.open(context, 2);
  const history = new History();
  const traffic = await Traffic.prepare(stage, history);
  const ending = new AbortController();
  const flowing = traffic.flow(Infinity, ending.signal);
  const recoveries: number[] = [];
  const losing = (async () => {
    for (let loss = 0; loss < context.ops; loss++) {
      recoveries.push(await lose(stage, history));
      context.progress(`${loss + 1} of ${context.ops}`);
    }
  })().finally(() => ending.abort());
  await Promise.all([flowing, losing]);

  const { reads, stale } = history.judge();
  for (const { read, level } of stale) context.attempt(false, () => `${read.thing} was read as ${read.level}, not ${level}`);
  context.attempted += reads - stale.length;
  const asked = reads + traffic.failedReads;
  const served = reads / asked;
  // Of a thousand reads one may be lost; that two are says nothing yet.
  const chance = context.ops < ops ? (2 * Math.sqrt((1 - SERVED) * asked)) / asked : 0;
  context.attempt(served >= SERVED - chance, () => `${traffic.failedReads} of ${asked} reads were not served`);
  return {
    served,
    reads,
    writes: traffic.writes,
    failedWrites: traffic.failed - traffic.failedReads,
    slowestRecoveryMs: Math.max(...recoveries),
  };
}

const setMemory = ({ client }: Stage, bytes: string) =>
  client.configSet({ maxmemory: bytes, 'maxmemory-policy': 'noeviction' });

const LOSSES: { begin: (stage: Stage) => Promise<unknown>; end?: (stage: Stage) => Promise<unknown> }[] = [
  { begin: (stage) => stage.killRedis(), end: (stage) => stage.reviveRedis() },
  { begin: ({ client }) => client.flushAll() },
  /** It takes nothing new; what it holds it tells, and forgets. */
  { begin: (stage) => setMemory(stage, '1'), end: (stage) => setMemory(stage, '0') },
];

/** @returns the ms until everybody reaches Redis again */
async function lose(stage: Stage, history: History): Promise<number> {
  const { context } = stage;
  const [ended, kept] = await sessions(stage);
  const isOver = history.trouble();
  const loss = context.pick(LOSSES);
  await loss.begin(stage);
  await expectSessions(stage, ended, kept);
  if (loss.end) await sleep(context.below(2000));
  await loss.end?.(stage);
  const since = performance.now();
  await stage.untilWell();
  const recovery = performance.now() - since;
  isOver();
  context.attempt(recovery <= LONGEST_MS, () => `Redis was reached again after ${Math.round(recovery)} ms`);
  await expectSessions(stage, ended, kept);
  await sleep(context.below(1500));
  return recovery;
}

/** Two sessions of one learner, the first of which was ended before Redis is lost. */
async function sessions({ context, nodes }: Stage): Promise<[ended: TestLearner, kept: TestLearner]> {
  const http = new HttpClient(context.pick(nodes).api.url);
  const ended = await newLearner(http);
  const token = await logIn(http, ended.email, ended.password);
  await ended.http.delete('/v1/sessions/current');
  await sleep(1000); // by then it is refused everywhere
  return [ended, { ...ended, token, http: http.as(token) }];
}

async function expectSessions({ context, nodes }: Stage, ended: TestLearner, kept: TestLearner): Promise<void> {
  for (const { http } of nodes) {
    for (const [session, expected] of [
      [ended, 401],
      [kept, 200],
    ] as const) {
      const { status } = await http.get('/v1/users/me', { token: session.token });
      context.attempt(status === expected, () => `a session that should be answered with ${expected} is with ${status}`);
    }
  }
}
