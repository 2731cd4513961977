import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'redis4';
import { admin, type ApiProcess } from '../support/api-process';
import { HttpClient, logIn, newLearner, type TestLearner } from '../support/http';
import { startApi, startServers, type Platform } from '../support/platform';
import type { RedisServer } from '../support/servers';
import type { TortureContext } from './harness/torture';

export const promise =
  'an ended session is refused by every process within 1 s and never again accepted, also if Redis is lost and comes back with ' +
  'what it held before; a login never goes on with a token that was there already';
export const ops = 1000;
export const shortOps = 16;

const BATCH = 50;
const LONGEST_MS = 1000;
const HIGH_LIMITS = { RATE_LIMIT: '1000000', RATE_LIMIT_AUTH: '1000000' };

interface Stage {
  context: TortureContext;
  apis: ApiProcess[];
  redis: RedisServer;
}

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const platform: Platform = await startServers(context);
  const settings = {
    ...platform.settings,
    ...HIGH_LIMITS,
    BOOTSTRAP_ADMIN_EMAIL: admin.email,
    BOOTSTRAP_ADMIN_PASSWORD: admin.password,
  };
  const stage: Stage = {
    context,
    apis: [await startApi(context, settings), await startApi(context, settings)],
    redis: platform.redis,
  };
  const delays: number[] = [];
  for (let done = 0; done < context.ops; done += BATCH) {
    delays.push(...(await batch(stage, Math.min(BATCH, context.ops - done))));
    context.progress(`${done} of ${context.ops}`);
  }
  return { slowestMs: Math.max(...delays), meanMs: delays.reduce((sum, delay) => sum + delay, 0) / delays.length };
}

/** Opens sessions, ends most of them, and brings Redis back to what it held before. @returns how long each end took, in ms */
async function batch(stage: Stage, count: number): Promise<number[]> {
  const { context } = stage;
  const learners: TestLearner[] = [];
  for (let index = 0; index < count; index++) learners.push(await fixedLearner(stage));
  await expectAll(stage, learners, 200);
  const before = await dump(stage.redis);
  const redisIsAway = context.random() < 0.5;
  if (redisIsAway) await stage.redis.stop('SIGKILL');
  const ended = learners.filter(() => context.random() < 0.7);
  const delays: number[] = [];
  for (const learner of ended) delays.push(await end(stage, learner));
  if (!redisIsAway) await stage.redis.stop('SIGKILL');
  stage.redis = await context.use(
    () => stage.redis.restart(),
    (redis) => redis.stop(),
  );
  await restore(stage.redis, before);
  await sleep(LONGEST_MS + context.below(300)); // the processes connect again, sooner or later, and the promise holds from then on
  await restore(stage.redis, before); // also over what the outbox has told it meanwhile
  await expectAll(stage, ended, 401);
  await expectAll(
    stage,
    learners.filter((learner) => !ended.includes(learner)),
    200,
  );
  await sleep(1500); // by now they are connected
  await restore(stage.redis, before);
  await expectAll(stage, ended, 401);
  return delays;
}

/** Logs in while presenting a token that somebody else could have planted: it must be neither taken up nor come to life. */
async function fixedLearner({ context, apis }: Stage): Promise<TestLearner> {
  const http = new HttpClient(context.pick(apis).url);
  const learner = await newLearner(http);
  const planted = Buffer.concat([Buffer.from(learner.id.replaceAll('-', ''), 'hex'), Buffer.alloc(48, context.below(256))]);
  const token = planted.toString('base64url');
  const { body } = await http.post(
    '/v1/sessions',
    { email: learner.email, password: learner.password },
    { token, headers: { cookie: `session=${token}` } },
  );
  const { status } = await http.get('/v1/users/me', { token });
  const isNew = typeof body.token === 'string' && body.token !== token && body.token !== learner.token;
  context.attempt(isNew && status === 401, () => `a planted token answers ${status} after a login`);
  return { ...learner, token: body.token, http: http.as(body.token) };
}

/** @returns the ms until both processes have refused the token */
async function end({ context, apis }: Stage, learner: TestLearner): Promise<number> {
  const http = new HttpClient(context.pick(apis).url, learner.token);
  const newPassword = `another one ${randomUUID()}`;
  const second = async () => http.as(await logIn(http, learner.email, learner.password));
  const asAdmin = async () => http.as(await logIn(http, admin.email, admin.password));
  const ways: (() => Promise<{ status: number; text: string }>)[] = [
    () => http.delete('/v1/sessions/current'),
    async () => (await second()).delete('/v1/sessions'),
    async () => (await second()).put(`/v1/users/${learner.id}/password`, { currentPassword: learner.password, newPassword }),
    async () => (await asAdmin()).put(`/v1/users/${learner.id}/role`, { role: 'TEACHER' }),
    () => http.delete(`/v1/users/${learner.id}`),
  ];
  const answer = await context.pick(ways)();
  if (answer.status >= 300) throw new Error(`Ending a session answered ${answer.status}: ${answer.text}`);
  const since = performance.now();
  for (const api of apis) {
    let status = 0;
    do ({ status } = await new HttpClient(api.url).get('/v1/users/me', { token: learner.token }));
    while (status !== 401 && performance.now() - since < 2 * LONGEST_MS);
    context.attempt(performance.now() - since <= LONGEST_MS, () => `an ended session is answered with ${status} after 1 s`);
  }
  return performance.now() - since;
}

async function expectAll({ context, apis }: Stage, learners: TestLearner[], expected: number): Promise<void> {
  for (const api of apis) {
    for (const { token } of learners) {
      const { status } = await new HttpClient(api.url).get('/v1/users/me', { token });
      context.attempt(status === expected, () => `a session that should be answered with ${expected} is with ${status}`);
    }
  }
}

async function withRedis<T>({ url }: RedisServer, work: (redis: ReturnType<typeof createClient>) => Promise<T>): Promise<T> {
  const redis = createClient({ url });
  await redis.connect();
  try {
    return await work(redis);
  } finally {
    await redis.disconnect();
  }
}

/** All that is known of sessions, as a replica that lags behind, or a dump, would have it. */
const dump = (server: RedisServer) =>
  withRedis(server, async (redis) => {
    const held = new Map<string, string>();
    for await (const key of redis.scanIterator({ MATCH: 'session:*' })) held.set(key, (await redis.get(key))!);
    return held;
  });

const restore = (server: RedisServer, held: Map<string, string>) =>
  withRedis(server, async (redis) => {
    for (const [key, value] of held) await redis.set(key, value, { EX: 3600 });
  });
