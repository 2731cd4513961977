import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiProcess } from '../support/api-process';
import { EventClient, type ReceivedEvent } from '../support/event-client';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { DATABASE, startApi, startServers } from '../support/platform';
import { withClient, type RedisServer } from '../support/servers';
import type { TortureContext } from './harness/torture';

export const promise =
  'each event of a learner reaches the learner once, in an order in which it can have happened, and nobody else, whatever streams, ' +
  'processes and Redis are cut off in between';
export const ops = 20_000;
export const shortOps = 200;

const LEARNERS = 6;
const WRITERS_EACH = 2;
/** One of both processes is killed so often, Redis half as often. */
const DISASTERS = 20;
const LONGEST_MS = 30_000;

interface Stage {
  context: TortureContext;
  apis: ApiProcess[];
  redis: RedisServer;
  settings: NodeJS.ProcessEnv;
  written: number;
  isOver: boolean;
  figures: { reconnects: number; apiKills: number; redisKills: number };
}

interface Follower {
  learner: TestLearner;
  chats: string[];
  received: ReceivedEvent[];
  start: string;
  lastEventId: string;
}

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const platform = await startServers(context);
  const settings = { ...platform.settings, RATE_LIMIT: '100000000', RATE_LIMIT_AUTH: '100000000' };
  const apis = [await startApi(context, settings), await startApi(context, settings)];
  const figures = { reconnects: 0, apiKills: 0, redisKills: 0 };
  const stage: Stage = { context, apis, redis: platform.redis, settings, written: 0, isOver: false, figures };
  const followers: Follower[] = [];
  while (followers.length < LEARNERS) followers.push(await newFollower(stage));

  const following = followers.map((follower) => follow(stage, follower));
  const disasters = destroy(stage);
  await Promise.all(followers.flatMap((follower) => Array.from({ length: WRITERS_EACH }, () => writeAll(stage, follower))));
  await disasters;
  const adminUrl = platform.postgres.url(DATABASE);
  for (const follower of followers) await untilComplete(adminUrl, follower);
  stage.isOver = true;
  await Promise.all(following);
  for (const follower of followers) judge(context, follower, await truthOf(adminUrl, follower));
  return { ...figures, events: followers.reduce((sum, { received }) => sum + received.length, 0) };
}

async function newFollower(stage: Stage): Promise<Follower> {
  const http = new HttpClient(stage.apis[0]!.url);
  const learner = await newLearner(http);
  const chats: string[] = [];
  while (chats.length < 3) chats.push((await learner.http.post('/v1/chats', { title: 'A chat' })).body.id);
  const { text } = await learner.http.get('/v1/events');
  const start = /^id: (.*)$/m.exec(text)![1]!;
  return { learner, chats, received: [], start, lastEventId: start };
}

const anywhere = ({ context, apis }: Stage) => context.pick(apis).url;

/** Follows until all is over: cut at random, or by whatever happens, and taken up again at any process. */
async function follow(stage: Stage, follower: Follower): Promise<void> {
  const { context } = stage;
  while (!stage.isOver) {
    const { token } = follower.learner;
    const client = await EventClient.open(anywhere(stage), { token, lastEventId: follower.lastEventId }).catch(() => undefined);
    if (!client) {
      await sleep(50);
      continue;
    }
    const until = performance.now() + context.random() ** 2 * 3000;
    const isSlow = context.random() < 0.2;
    if (isSlow) client.pause();
    while (!client.hasEnded && !stage.isOver && performance.now() < until) await sleep(5);
    if (isSlow) {
      client.resume();
      await sleep(20);
    }
    client.close();
    follower.received.push(...client.events);
    follower.lastEventId = client.lastEventId!;
    stage.figures.reconnects += 1;
  }
}

/** Appends messages and starts chats, at any process; what fails is sent again under its key. */
async function writeAll(stage: Stage, { learner, chats }: Follower): Promise<void> {
  const { context } = stage;
  while (stage.written < context.ops) {
    stage.written += 1;
    const isMessage = context.random() < 0.8;
    const path = isMessage ? `/v1/chats/${context.pick(chats)}/messages` : '/v1/chats';
    const body = isMessage ? { role: 'user', content: 'Hello' } : { title: 'Another' };
    const headers = { 'idempotency-key': randomUUID() };
    for (let status = 0; status !== 201 && status !== 200;) {
      const http = new HttpClient(anywhere(stage), learner.token);
      status = (await http.send('POST', path, body, { headers }).catch(() => undefined))?.status ?? 0;
      if (status !== 201 && status !== 200) await sleep(20);
    }
  }
}

/** Kills a process and starts another one, now and then Redis as well, evenly over all that is written. */
async function destroy(stage: Stage): Promise<void> {
  const { context, figures } = stage;
  const disasters = Math.min(DISASTERS, Math.ceil(context.ops / 150));
  for (let nr = 1; nr <= disasters; nr++) {
    while (stage.written < (context.ops * nr) / (disasters + 1)) await sleep(10);
    if (nr % 2 === 0) {
      await stage.redis.stop('SIGKILL');
      figures.redisKills += 1;
    }
    const victim = nr % stage.apis.length;
    const doomed = stage.apis[victim]!;
    await doomed.stop('SIGKILL');
    figures.apiKills += 1;
    stage.apis[victim] = await startApi(context, stage.settings);
    if (nr % 2 === 0) {
      stage.redis = await context.use(
        () => stage.redis.restart(),
        (redis) => redis.stop(),
      );
    }
    context.progress(`${stage.written} of ${context.ops} written`);
  }
}

interface Truth {
  id: string;
  subject: string;
}

/** What has been committed for the learner since the stream was first opened, in the order in which it was written down. */
async function truthOf(adminUrl: string, { learner, chats }: Follower): Promise<Truth[]> {
  return withClient(adminUrl, async (client) => {
    const { rows } = await client.query<Truth>(
      `select id::text, subject_id as subject from audit_events where learner_id = $1
         and id > (select max(id) from audit_events where action = 'chat.started' and subject_id = $2) order by id`,
      [learner.id, chats.at(-1)],
    );
    return rows;
  });
}

async function untilComplete(adminUrl: string, follower: Follower): Promise<void> {
  const { length } = await truthOf(adminUrl, follower);
  for (const end = performance.now() + LONGEST_MS; performance.now() < end; await sleep(100)) {
    if (follower.received.length >= length) return;
  }
}

function judge(context: TortureContext, { received, learner }: Follower, truth: readonly Truth[]): void {
  const times = new Map<string, number>();
  for (const { data } of received) times.set(data.id, (times.get(data.id) ?? 0) + 1);
  for (const { id } of truth) {
    const count = times.get(id) ?? 0;
    context.attempt(count === 1, () => `event ${id} of ${learner.id} has come ${count} times`);
    times.delete(id);
  }
  for (const [id] of times) context.attempt(false, () => `event ${id} is none of ${learner.id}`);
  // What happens to one chat happens one after the other.
  const last = new Map<string, bigint>();
  for (const { data } of received) {
    const id = BigInt(data.id);
    const before = last.get(data.subjectId) ?? 0n;
    context.attempt(id > before, () => `event ${id} of ${data.subjectId} has come after ${before}`);
    last.set(data.subjectId, id);
  }
}
