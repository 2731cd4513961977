import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProcess, waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import { EventClient } from '../support/event-client';
import { HttpClient, logIn, newLearner, type TestLearner } from '../support/http';
import { describeServed, openServed } from '../support/served';
import { startRedis } from '../support/servers';
import { expectProblem, letIdGo, RunningApi, until } from './support';

/** Of an API process. */
const MEMORY_GOAL_MB = 220;
const FOREIGN_TIMELINE = Buffer.from('1!1234567890-00000001!1:1:').toString('base64url');
const card = { type: 'flashcard', content: { front: 'bonjour', back: 'good morning' } };

const clients: EventClient[] = [];
async function follow(url: string, { token }: TestLearner, lastEventId?: string): Promise<EventClient> {
  const client = await EventClient.open(url, { token, lastEventId });
  clients.push(client);
  await until(async () => client.retryMs !== undefined);
  return client;
}
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

const typesOf = (client: EventClient) => client.events.map(({ type }) => type);
const chatsOf = async (learner: TestLearner, count: number): Promise<string[]> => {
  const ids: string[] = [];
  for (let nr = 0; nr < count; nr++) ids.push((await learner.http.post('/v1/chats', { title: `Chat ${nr}` })).body.id);
  return ids;
};
const subjectsOf = (client: EventClient) => client.events.map(({ data }) => data.subjectId);

describe.each(waysToRun)('GET /v1/events, $name', (way) => {
  const run = new RunningApi(way, {}, { withWorker: true });
  const url = () => run.api.url;
  let ada: TestLearner;
  beforeEach(async () => {
    ada = await run.newLearner();
  });

  it('OV-3 tells what happens to one’s own things, as it happens, and what to read to see it', async () => {
    const stream = await follow(url(), ada);
    const chat = (await ada.http.post('/v1/chats', { title: 'A chat' })).body;
    const before = await ada.http.get(`/v1/chats/${chat.id}`); // cached from here on
    await ada.http.post(`/v1/chats/${chat.id}/messages`, { role: 'user', content: 'Why are leaves green?' });
    const item = (await ada.http.post('/v1/study/items', card)).body;
    await ada.http.post(`/v1/study/items/${item.id}/reviews`, { clientReviewId: 'one', rating: 3 });
    const document = (await ada.http.post('/v1/documents', { type: 'text', content: 'Grass is green.' })).body;
    await until(async () => typesOf(stream).includes('document.embedded'), 60_000);

    const told = stream.events.map(({ data: { type, subjectId, changedFields } }) => [type, subjectId, changedFields]);
    expect(told).toEqual([
      ['chat.started', chat.id, []],
      ['chat.message-appended', chat.id, ['messages']],
      ['study-item.added', item.id, []],
      ['study-item.reviewed', item.id, ['schedule']],
      ['document.added', document.id, []],
      ['document.embedded', document.id, expect.any(Array)],
    ]);
    for (const { type, id, data } of stream.events) {
      expect({ type, keys: Object.keys(data).sort() }).toEqual({
        type: data.type,
        keys: ['at', 'changedFields', 'id', 'readToken', 'subjectId', 'type'],
      });
      expect([id, data.at]).toEqual([expect.stringMatching(/^[\w-]+$/), new Date(data.at).toISOString()]);
    }
    const { readToken } = stream.events[1]!.data;
    const after = await ada.http.get(`/v1/chats/${chat.id}`, { headers: { 'x-read-token': readToken } });
    expect([before.body.messageCount, after.body.messageCount]).toEqual([0, 1]);
  }, 90_000);

  it('OV-3 goes on after Last-Event-ID without a gap and without a double, wherever the stream was cut', async () => {
    const first = await follow(url(), ada);
    const start = first.lastEventId!; // before any event: what happens from here on is not lost
    const ids = await chatsOf(ada, 3);
    await until(async () => first.events.length === 3);
    first.close();
    ids.push(...(await chatsOf(ada, 2)));
    const whole = await follow(url(), ada, start);
    await until(async () => whole.events.length === 5);
    expect(subjectsOf(whole)).toEqual(ids);
    // After each event, as it came live and as it was replayed in one batch.
    for (const [index, { id }] of [...first.events.entries(), ...whole.events.entries()]) {
      const rest = await follow(url(), ada, id);
      await until(async () => rest.events.length >= 4 - index);
      expect(subjectsOf(rest)).toEqual(ids.slice(index + 1));
      expect(rest.events.map(({ data }) => data)).toEqual(whole.events.slice(index + 1).map(({ data }) => data));
      rest.close();
    }
    const [last] = await chatsOf(ada, 1);
    await until(async () => whole.events.length === 6);
    expect(subjectsOf(whole)).toEqual([...ids, last]);
  });

  it('OV-3 says `reset` where it does not know the event, and goes on from there', async () => {
    const stream = await follow(url(), ada, FOREIGN_TIMELINE);
    await until(async () => stream.events.length === 1);
    expect(stream.events[0]).toMatchObject({ type: 'reset', data: { type: 'reset' } });
    const [chat] = await chatsOf(ada, 1);
    await until(async () => stream.events.length === 2);
    expect(subjectsOf(stream)).toEqual([undefined, chat]);
    const resumed = await follow(url(), ada, stream.events[0]!.id);
    await until(async () => resumed.events.length === 1);
    expect(subjectsOf(resumed)).toEqual([chat]);
  });

  it('refuses an id that is none, and takes an empty one for none', async () => {
    for (const id of ['x', 'MTIz', `${FOREIGN_TIMELINE}, ${FOREIGN_TIMELINE}`, 'A'.repeat(9000)]) {
      const answer = await ada.http.get('/v1/events', { headers: { 'last-event-id': id } });
      expectProblem(answer, 422, 'VALIDATION_FAILED');
      expect(answer.body.errors[0].path).toBe('Last-Event-ID');
    }
    expect((await ada.http.get('/v1/events', { headers: { 'last-event-id': '' } })).status).toBe(200);
    expectProblem(await run.http.get('/v1/events'), 401, 'UNAUTHENTICATED');
  });

  it('SEC-1 tells nobody else’s, neither live nor by somebody else’s id, nor who has read or what was somebody’s before', async () => {
    const ben = await run.newLearner();
    const teacher = await run.newUser('TEACHER');
    const start = (await follow(url(), ada)).lastEventId!;
    const stream = await follow(url(), ben);
    const own = await chatsOf(ada, 1);
    await ada.http.post(`/v1/users/${ada.id}/grants`, { teacherId: teacher.id, scopes: ['chats'] });
    expect((await teacher.http.get(`/v1/learners/${ada.id}/chats/${own[0]}`)).status).toBe(200);
    const [bens] = await chatsOf(ben, 1);
    await until(async () => stream.events.length === 1);
    const stolen = await follow(url(), ben, start);
    await until(async () => stolen.events.length >= 1);
    const mine = await follow(url(), ada, start);
    await until(async () => mine.events.length >= 2);
    await sleep(1000);
    expect([subjectsOf(stream), subjectsOf(stolen)]).toEqual([[bens], [bens]]);
    expect(typesOf(mine)).toEqual(['chat.started', 'grant.given']);
    expect(JSON.stringify(mine.events)).not.toContain(teacher.id);

    // Ada leaves, and somebody else registers with her id.
    await ada.http.delete(`/v1/users/${ada.id}`);
    const [email, password] = [`${randomUUID()}@example.org`, `long enough ${randomUUID()}`];
    await letIdGo(run.databaseUrl, ada.id);
    expect((await run.http.post('/v1/users', { id: ada.id, email, password })).status).toBe(201);
    const heir = { ...ada, token: await logIn(run.http, email, password) };
    const inherited = await follow(url(), heir, start);
    await until(async () => typesOf(inherited).includes('session.opened'));
    expect(typesOf(inherited)).toEqual(['user.registered', 'session.opened']);
  });

  it('is a stream by its headers, and to HEAD no more than those', async () => {
    const stream = await follow(url(), ada);
    expect(stream.response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      'ratelimit-policy': expect.any(String),
    });
    const head = await ada.http.send('HEAD', '/v1/events');
    expect([head.status, head.headers.get('content-type'), head.text]).toEqual([200, 'text/event-stream', '']);
    expectProblem(await ada.http.post('/v1/events', {}), 404, 'NOT_FOUND');
    expect((await ada.http.send('OPTIONS', '/v1/events')).status).toBe(404);
    expect(await openStreams(run.http)).toBe(1);
    stream.close();
    await until(async () => (await openStreams(run.http)) === 0);
  });

  it('opens ten streams for a learner and no more, until one is closed', async () => {
    const streams = await Promise.all(Array.from({ length: 10 }, () => follow(url(), ada)));
    const refused = await ada.http.get('/v1/events');
    expectProblem(refused, 429, 'TOO_MANY_STREAMS');
    expect(refused.headers.get('retry-after')).toBe('5');
    const [chat] = await chatsOf(ada, 1);
    await until(async () => streams.every((stream) => stream.events.length === 1));
    expect(streams.map(subjectsOf)).toEqual(streams.map(() => [chat]));
    streams[0]!.close();
    await until(async () => (await ada.http.get('/v1/events')).status === 200);
  });

  it('ends within a second after the session has been ended or has expired, and goes on with a new one', async () => {
    const other = await logIn(run.http, ada.email, ada.password);
    const [stream, stays] = [await follow(url(), ada), await follow(url(), { ...ada, token: other })];
    await run.http.as(ada.token).delete('/v1/sessions/current');
    const since = performance.now();
    await until(async () => stream.hasEnded);
    expect(performance.now() - since).toBeLessThan(1000);
    expectProblem(await ada.http.get('/v1/events'), 401, 'SESSION_REVOKED');
    expect(stays.hasEnded).toBe(false);

    const short = await logIn(run.http, ada.email, ada.password);
    await sql(run.databaseUrl, `update sessions set expires_at = now() + interval '3 seconds' where user_id = $1`, [ada.id]);
    const expiring = await EventClient.open(url(), { token: short });
    await sleep(1000);
    expect(expiring.hasEnded).toBe(false);
    await until(async () => expiring.hasEnded, 4000);
    const resumed = await follow(url(), await renewed(run, ada), stream.lastEventId);
    // The first may have told it before it ended.
    const told = () => [...typesOf(stream), ...typesOf(resumed)].filter((type) => type === 'session.revoked').length;
    await until(async () => told() > 0);
    expect(told()).toBe(1);
  });

  it('reads no more than a slow client takes, and loses nothing of what happens meanwhile', async () => {
    const slow = await follow(url(), ada);
    slow.pause();
    const many = 20_000; // 9 MB, which no buffer of a connection takes
    const before = memoryOf(run.api.pid);
    await sql(
      run.databaseUrl,
      `insert into audit_events (actor_id, actor_role, learner_id, action, subject_id, changed_fields)
       select '${ada.id}', 'STUDENT', '${ada.id}', 'chat.message-appended', n::text, array['messages', repeat('x', 100)]
       from generate_series(1, ${many}) n`,
    );
    await sleep(3000);
    const [chat] = await chatsOf(ada, 1); // others are served meanwhile, and so is she
    const quick = await follow(url(), ada);
    const [next] = await chatsOf(ada, 1);
    await until(async () => subjectsOf(quick).includes(next!));
    expect(memoryOf(run.api.pid) - before).toBeLessThan(way.name === 'embedded' ? 300 : 160); // young garbage of up to 100 MB; PGlite has its own in the process
    slow.resume();
    await until(async () => slow.events.length >= many + 2, 60_000);
    expect(subjectsOf(slow)).toEqual([...Array.from({ length: many }, (_each, index) => String(index + 1)), chat, next]);
  }, 120_000);

  it('lets go of who takes nothing at all, when the process ends', async () => {
    const api = await ApiProcess.start({ ...(await way.open()).settings });
    const learner = await newLearnerAt(api);
    const [stream] = [await follow(api.url, learner)];
    const socket = connect(api.port, '127.0.0.1').on('error', () => undefined);
    socket.write(`GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${learner.token}\r\n\r\n`);
    await sleep(300); // and is not read from
    const since = performance.now();
    expect(await api.stop()).toBe(0);
    expect(performance.now() - since).toBeLessThan(5000);
    expect(stream.hasEnded).toBe(true);
    socket.destroy();
  }, 120_000);
});

describe('GET /v1/events, limited', () => {
  const run = new RunningApi(waysToRun.at(-1)!, { RATE_LIMIT: '3' });

  it('RED-5 counts like any request, and is not begun when it is one too many', async () => {
    const ada = await run.newLearner();
    const streams: EventClient[] = [];
    for (let nr = 0; nr < 3; nr++) streams.push(await follow(run.api.url, ada));
    expectProblem(await ada.http.get('/v1/events'), 429, 'RATE_LIMITED');
    expectProblem(await ada.http.get('/v1/events'), 429, 'RATE_LIMITED'); // remembered
    await until(async () => (await openStreams(run.http)) === 3);
  });
});

describeServed('GET /v1/events of several processes', () => {
  const way = {
    name: 'served' as const,
    open: async () => {
      const [place, redis] = [await openServed(), await startRedis()];
      current = redis;
      return {
        settings: { ...place.settings, REDIS_URL: redis.url },
        close: async () => {
          await current.stop('SIGKILL').catch(() => undefined);
          await place.close();
        },
      };
    },
  };
  let current: Awaited<ReturnType<typeof startRedis>>;
  let other: ApiProcess;
  const run = new RunningApi(way);
  beforeAll(async () => {
    other = await run.api.restart();
  }, 60_000);
  afterAll(() => other?.stop());

  /** Grades a review at one process. @returns after how many ms it has reached a stream of the other */
  const delayOf = async (ada: TestLearner, stream: EventClient): Promise<number> => {
    const item = (await ada.http.post('/v1/study/items', card)).body;
    const before = stream.events.length;
    await ada.http.post(`/v1/study/items/${item.id}/reviews`, { clientReviewId: 'one', rating: 3 });
    const graded = performance.now();
    const reviewed = await until(async () =>
      stream.events.find(({ type, data }) => type === 'study-item.reviewed' && data.subjectId === item.id),
    );
    expect(stream.events.length).toBeLessThanOrEqual(before + 2);
    return reviewed.at - graded;
  };

  it('OV-3 a review graded at one reaches a stream of the other within a second, also when Redis is lost and when it is back', async () => {
    const ada = await run.newLearner();
    const stream = await follow(other.url, ada);
    for (let nr = 0; nr < 5; nr++) expect(await delayOf(ada, stream)).toBeLessThan(1000);
    await current.stop('SIGKILL');
    for (let nr = 0; nr < 5; nr++) expect(await delayOf(ada, stream)).toBeLessThan(1000);
    current = await current.restart();
    for (let nr = 0; nr < 5; nr++) expect(await delayOf(ada, stream)).toBeLessThan(1000);
    expect(new Set(stream.events.map(({ data }) => data.id)).size).toBe(stream.events.length);
  });

  it('OV-3 a stream whose process was killed goes on at another', async () => {
    const ada = await run.newLearner();
    const doomed = await run.api.restart();
    const stream = await follow(doomed.url, ada);
    const ids = await chatsOf(ada, 2);
    await until(async () => stream.events.length === 2);
    await doomed.stop('SIGKILL');
    ids.push(...(await chatsOf(ada, 2)));
    const resumed = await follow(other.url, ada, stream.lastEventId);
    ids.push(...(await chatsOf(ada, 1)));
    await until(async () => resumed.events.length === 3);
    expect([...subjectsOf(stream), ...subjectsOf(resumed)]).toEqual(ids);
  });

  it('OV-3 1,000 open streams fit into the memory of one process, and all are told', async () => {
    const learners: TestLearner[] = [];
    while (learners.length < 100) {
      learners.push(...(await Promise.all(Array.from({ length: 10 }, () => newLearnerAt(other)))));
    }
    const api = await run.api.restart({ NODE_ENV: 'production', LOG_ACCESS: 'false' }); // which has hashed no passwords
    const before = memoryOf(api.pid);
    const streams: EventClient[] = [];
    for (const learner of learners) {
      streams.push(...(await Promise.all(Array.from({ length: 10 }, () => follow(api.url, learner)))));
    }
    expect(await openStreams(new HttpClient(api.url))).toBe(1000);
    const open = memoryOf(api.pid);
    const writer = new HttpClient(other.url);
    for (let round = 1; round <= 3; round++) {
      for (const { token } of learners) await writer.post('/v1/chats', { title: 'A chat' }, { token });
    }
    await until(async () => streams.every(({ events }) => events.length === 3));
    const after = memoryOf(api.pid);
    await until(async () => memoryOf(api.pid) <= MEMORY_GOAL_MB, 60_000); // V8 collects what is young when nothing happens
    const atRest = memoryOf(api.pid);
    process.stdout.write(
      `1,000 streams: ${before} MB before, ${open} MB open, ${after} MB after 3,000 events, ${atRest} MB at rest\n`,
    );
    expect(after).toBeLessThan(1.5 * MEMORY_GOAL_MB);
    expect(streams.filter(({ hasEnded }) => hasEnded)).toEqual([]);
    await api.stop('SIGKILL');
  }, 180_000);

  it('tells, and ends with the session, also where more sessions have ended than a process remembers', async () => {
    const ada = await run.newLearner();
    const stream = await follow(run.api.url, ada);
    await sql(
      run.databaseUrl,
      `insert into revoked_sessions (id, expires_at) select gen_random_uuid(), now() + interval '1 hour' from generate_series(1, 250001)`,
    );
    await until(async () => run.api.log.includes('sessions have been ended within a day'), 20_000);
    const chats = await chatsOf(ada, 1);
    await until(async () => subjectsOf(stream).includes(chats[0]!));
    await ada.http.delete('/v1/sessions/current');
    await until(async () => stream.hasEnded);
  }, 60_000);
});

/** Resident, in MB. */
const memoryOf = (pid: number) =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);

async function openStreams(http: HttpClient): Promise<number> {
  return Number(/^studently_event_streams (\d+)$/m.exec((await http.get('/metrics')).text)![1]);
}

const newLearnerAt = ({ url }: ApiProcess): Promise<TestLearner> => newLearner(new HttpClient(url));

async function renewed(run: RunningApi, learner: TestLearner): Promise<TestLearner> {
  return { ...learner, token: await logIn(run.http, learner.email, learner.password) };
}
