import { randomUUID } from 'node:crypto';
import { admin, ApiProcess, waysWithCluster, type WayToRun } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient, logIn, newLearner, type Answer } from '../support/http';
import { describeServed, openServed } from '../support/served';
import { startRedis, type RedisServer } from '../support/servers';
import { expectProblem, newEmail, newPassword, RunningApi, startOwnRedis, until, withRedis } from './support';

const LIMIT = 100;
const LIMITS = { RATE_LIMIT: String(LIMIT), RATE_LIMIT_AUTH: '1000000000' };

/** `"default";r=50;t=30` as { name: 'default', r: 50, t: 30 }. */
function item(header: string | null): Record<string, unknown> {
  const [name = '', ...parameters] = (header ?? '').split(';');
  return { name: JSON.parse(name), ...Object.fromEntries(parameters.map((one) => [one[0], Number(one.slice(2))])) };
}

function expectRefused(answer: Answer, bucket = 'default'): void {
  expectProblem(answer, 429, 'RATE_LIMITED');
  const seconds = Number(answer.headers.get('retry-after'));
  expect([seconds >= 1, seconds <= 60]).toEqual([true, true]);
  expect(item(answer.headers.get('ratelimit'))).toEqual({ name: bucket, r: 0, t: seconds });
  expect(answer.headers.get('etag')).toBeNull();
}

const statusesOf = (answers: Answer[]) => [...new Set(answers.map(({ status }) => status))];

/** With a Redis of its own: on the common one others have used up what this address may do. */
const ways = waysWithCluster.map((way) => ({
  name: way.name,
  open: async () => {
    const place = await way.open();
    if (way.name === 'embedded') return place;
    const redis = await startOwnRedis(way);
    const close = async () => {
      await redis.stop();
      await place.close();
    };
    return { settings: { ...place.settings, REDIS_URL: redis.url }, close };
  },
}));

describe.each(ways)('Rate limits, $name', (way) => {
  const run = new RunningApi(way, LIMITS);

  it('RED-5 refuse the 101st request of a minute, whatever it asks for, and nobody else', async () => {
    const [ada, grace] = [await run.newLearner(), await run.newLearner()];
    const requests: (() => Promise<Answer>)[] = [
      () => ada.http.get('/v1/users/me'),
      () => ada.http.post('/v1/chats', { title: 'Counted' }),
      () => ada.http.get(`/v1/chats/${randomUUID()}`),
      () => ada.http.post('/v1/chats', { title: 7 }),
      () => ada.http.delete(`/v1/chats/${randomUUID()}`),
    ];
    const answers: Answer[] = [];
    for (let nr = 0; nr < LIMIT; nr++) answers.push(await requests[nr % requests.length]!());
    expect(statusesOf(answers).sort()).toEqual([200, 201, 404, 422]);
    expect(answers.map(({ headers }) => item(headers.get('ratelimit'))['r'])).toEqual(
      Array.from({ length: LIMIT }, (_each, index) => LIMIT - 1 - index),
    );
    for (const { headers } of answers) {
      expect(item(headers.get('ratelimit-policy'))).toEqual({ name: 'default', q: LIMIT, w: 60 });
    }
    for (const send of [...requests, ...requests]) expectRefused(await send());
    expect((await grace.http.get('/v1/users/me')).status).toBe(200);
    // Another session of hers is counted with the first.
    expectRefused(await run.http.as(await logIn(run.http, ada.email, ada.password)).get('/v1/users/me'));
  });

  it('RED-5 a read that was one too many shows nothing of what it has read', async () => {
    const ada = await run.newLearner();
    const chat = await ada.http.post('/v1/chats', { title: 'Homework' });
    const read = () => ada.http.get(`/v1/chats/${chat.body.id}`, { headers: { 'if-none-match': chat.headers.get('etag')! } });
    for (let nr = 0; nr < LIMIT - 1; nr++) expect((await read()).status).toBe(304);
    const refused = await read();
    expectRefused(refused);
    expect(refused.text).not.toContain('Homework');
  });

  it('RED-5 a write that was one too many does nothing', async () => {
    const ada = await run.newLearner();
    const answers = await Promise.all(
      Array.from({ length: LIMIT + 30 }, () => ada.http.post('/v1/chats', { title: 'One of many' })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(LIMIT);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(30);
    const [{ count }] = (await sql(run.databaseUrl, 'select count(*)::int from chats where user_id = $1', [ada.id])) as any;
    expect(count).toBe(LIMIT);
  });

  it('leave health, metrics and the documents alone', async () => {
    for (const path of ['/health/live', '/health/ready', '/health/startup', '/metrics', '/docs', '/openapi.json']) {
      const answers = await Promise.all(Array.from({ length: path === '/docs' ? 1 : 3 }, () => run.http.get(path)));
      expect([path, statusesOf(answers), answers[0]!.headers.get('ratelimit')]).toEqual([path, [200], null]);
    }
  });
});

describe.each(ways)('Rate limits of addresses, $name', (way) => {
  const run = new RunningApi(way, { RATE_LIMIT: '30', RATE_LIMIT_AUTH: '10' });

  it('RED-5 count logins and registrations together, good or bad, apart from everything else', async () => {
    const ada = await run.newLearner(); // two of ten
    const attempts = [
      () => run.http.post('/v1/sessions', { email: ada.email, password: ada.password }),
      () => run.http.post('/v1/sessions', { email: ada.email, password: newPassword() }),
      () => run.http.post('/v1/sessions', '{"email'),
      () => run.http.post('/v1/users', { email: newEmail(), password: newPassword() }),
    ];
    const answers = [];
    for (let nr = 0; nr < 8; nr++) answers.push(await attempts[nr % attempts.length]!());
    expect(statusesOf(answers).sort()).toEqual([201, 400, 401]);
    expect(item(answers.at(-1)!.headers.get('ratelimit'))).toEqual({ name: 'auth', r: 0, t: expect.any(Number) });
    expect(item(answers.at(-1)!.headers.get('ratelimit-policy'))).toEqual({ name: 'auth', q: 10, w: 60 });
    for (const attempt of attempts) expectRefused(await attempt(), 'auth');
    // A header that claims another address, or an invented token, changes nothing.
    const headers = {
      'x-forwarded-for': '198.51.100.7',
      forwarded: 'for=198.51.100.7',
      authorization: `Bearer ${randomUUID()}`,
    };
    const login = { email: ada.email, password: ada.password };
    expectRefused(await run.http.post('/v1/sessions', login, { headers }), 'auth');
    expect((await ada.http.get('/v1/users/me')).status).toBe(200);
  });

  it('RED-5 count what is never authenticated, and lock nobody out who is', async () => {
    const token = (await run.http.post('/v1/sessions', admin)).body?.token as string | undefined;
    expect(token).toBeUndefined(); // this address has no login left in this minute
    const broken: (() => Promise<Answer>)[] = [
      () => run.http.get('/v1/users/me'),
      () => run.http.get('/v1/users/me', { token: randomUUID() }),
      () => run.http.get('/v1/nowhere'),
      () => run.http.post('/v1/chats', '{"title"'),
    ];
    const answers = [];
    for (let nr = 0; nr < 30; nr++) answers.push(await broken[nr % broken.length]!());
    expect(statusesOf(answers).sort()).toEqual([400, 401, 404]);
    for (const send of broken) expectRefused(await send());
  });
});

describeServed('Rate limits over two processes', () => {
  let redis: RedisServer;
  let place: Awaited<ReturnType<WayToRun['open']>>;
  let apis: ApiProcess[] = [];
  beforeAll(async () => {
    [redis, place] = await Promise.all([startRedis(), openServed()]);
    const settings = { ...place.settings, ...LIMITS, REDIS_URL: redis.url };
    apis = [await ApiProcess.start(settings), await ApiProcess.start(settings)];
  }, 60_000);
  afterAll(async () => {
    await Promise.all(apis.map((api) => api.stop()));
    await redis?.stop();
    await place?.close();
  });

  it('RED-5 call 101 of limit 100 is refused by the other process', async () => {
    const [here, there] = apis.map(({ url }) => new HttpClient(url)) as [HttpClient, HttpClient];
    const ada = await newLearner(here);
    const answers = await Promise.all(Array.from({ length: LIMIT }, () => ada.http.get('/v1/users/me')));
    expect(statusesOf(answers)).toEqual([200]);
    expectRefused(await there.as(ada.token).get('/v1/users/me'));
    expectRefused(await there.as(ada.token).post('/v1/chats', { title: 'One too many' }));
    expectRefused(await ada.http.get('/v1/users/me'));
  });

  it('RED-5 100 of 300 at once are admitted, by both together', async () => {
    const ada = await newLearner(new HttpClient(apis[0]!.url));
    const clients = apis.map(({ url }) => new HttpClient(url).as(ada.token));
    const answers = await Promise.all(Array.from({ length: 3 * LIMIT }, (_each, nr) => clients[nr % 2]!.get('/v1/users/me')));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(LIMIT);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(2 * LIMIT);
  });

  it('RED-10 RED-11 RED-12 keep one integer for each principal, which ends within a minute', async () => {
    await withRedis(redis.url, async (client) => {
      const keys = await client.keys('ratelimit:*');
      const shape = /^ratelimit:(\{u:[0-9a-f-]{36}\}:default|\{a:[0-9a-f.:/]+\}:(default|auth))$/;
      expect(keys.length).toBeGreaterThan(0);
      for (const key of keys) {
        expect(key).toMatch(shape);
        expect(await client.get(key)).toMatch(/^\d+$/);
        const ttl = await client.ttl(key);
        expect([ttl > 0, ttl <= 60]).toEqual([true, true]);
      }
    });
  });

  it('RED-16 go on without Redis, each process for itself', async () => {
    const ada = await newLearner(new HttpClient(apis[0]!.url));
    await redis.stop('SIGKILL');
    const answers = [];
    for (let nr = 0; nr < LIMIT + 5; nr++) answers.push(await ada.http.get('/v1/users/me'));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(LIMIT);
    answers.slice(LIMIT).forEach((answer) => expectRefused(answer));
    redis = await redis.restart();
    await until(async () => (await new HttpClient(apis[1]!.url).get('/health/ready')).body.status === 'ok');
  });
});
