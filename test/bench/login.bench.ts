import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { hash } from '@node-rs/argon2';
import { HttpClient, newLearner } from '../support/http';
import { startApi, startServers } from '../support/platform';
import type { BareArgon2 } from './bare-argon2';
import type { BenchContext } from './harness/context';
import { interleave } from './harness/interleave';
import { startLoad, type LoadRequest } from './harness/load';
import { Helper } from './harness/processes';
import { number } from './harness/table';
import { atLeast, type Measured } from './harness/workload';

const LEARNERS = 16;
const CONNECTIONS = 4 * availableParallelism();
/** Requests a second of somebody else, who is logged in. */
const OTHERS_RATE = 100;
const HIGH_LIMITS = { RATE_LIMIT: '1000000', RATE_LIMIT_AUTH: '1000000' };

/** OWASP's minimum, as domain/password.ts has it: the limit does the same work. */
const ARGON2ID = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

export const name = 'login';
export const goal = `≥ 0.85× argon2id alone on all cores, p99 of other routes ≤ 1.2× that without logins, ${CONNECTIONS} connections`;

/** Logins, and what they do to those who are logged in. */
export async function run(context: BenchContext): Promise<Measured> {
  const { settings } = await startServers(context);
  const api = await startApi(context, { ...settings, ...HIGH_LIMITS });
  const http = new HttpClient(api.url);
  const learners = [];
  while (learners.length < LEARNERS) learners.push(await newLearner(http));
  const bare = await context.use(
    () => Helper.start(join(__dirname, 'bare-argon2.ts')),
    (helper) => helper.stop(),
  );
  const { password } = learners[0]!;
  const kept = await hash(password, ARGON2ID);

  const logins: LoadRequest[] = learners.map((learner) => ({
    method: 'POST',
    path: '/v1/sessions',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: learner.email, password: learner.password }),
  }));
  const reads: LoadRequest[] = learners.map(({ token }) => ({
    method: 'GET',
    path: '/v1/users/me',
    headers: { authorization: `Bearer ${token}` },
  }));
  const put = await startLoad(context);
  const putBeside = await startLoad(context);
  const flood = (seconds: number) => put(api.pid, { url: api.url, connections: CONNECTIONS, seconds, requests: logins });
  const others = (seconds: number) =>
    putBeside(api.pid, { url: api.url, connections: 8, seconds, requests: reads, rate: OTHERS_RATE });

  const { platform, limit } = await interleave(context, {
    platform: flood,
    limit: async (seconds: number) => ({
      perSecond: await bare.ask<number>({ hash: kept, password, seconds } satisfies BareArgon2),
    }),
  });
  const { quiet, flooded } = await interleave(context, {
    quiet: others,
    flooded: async (seconds: number) => (await Promise.all([others(seconds), flood(seconds)]))[0],
  });
  const ratio = flooded.p99 / quiet.p99;
  return {
    checks: [
      atLeast('throughput', platform.perSecond, limit.perSecond, 'logins/s', 0.85),
      { name: 'p99 of others', value: flooded.p99, unit: 'ms', limit: quiet.p99, ratio, goal: '≤ 1.2×', met: ratio <= 1.2 },
    ],
    cpuMicros: platform.cpuMicros,
    details: {
      p50: platform.p50,
      p99: platform.p99,
      othersP50: flooded.p50,
      othersQuietP50: quiet.p50,
      clientCpu: platform.clientCpu,
    },
    notes: [
      `the server keeps ${number(platform.serverCpu)} of ${availableParallelism()} cores busy with logins`,
      `others ask ${OTHERS_RATE} times a second: their p50 is ${number(flooded.p50)} ms during logins, ${number(quiet.p50)} ms without`,
    ],
  };
}
