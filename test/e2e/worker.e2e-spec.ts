import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProcess, waysToRun } from '../support/api-process';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { startRedis, type RedisServer } from '../support/servers';
import { studently } from '../support/studently';
import { databaseUrlOf, until, withRedis } from './support';

const text = { type: 'text', content: 'Grass is green.' };
const LONG = Array.from({ length: 300 }, (_, nr) => `Sentence ${nr} says something about the green grass of a garden.`).join(
  ' ',
);
const isServed = waysToRun.some(({ name }) => name === 'served');

it('RED-6 the worker says 78 where the API does the jobs itself', async () => {
  for (const settings of [{}, { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' }]) {
    expect(await ApiProcess.run(settings, 'worker')).toMatchObject({
      code: 78,
      output: expect.stringContaining('WORKER_NOT_NEEDED'),
    });
  }
});

(isServed ? describe : describe.skip)('RED-6 the worker', () => {
  let database: TestDatabase;
  let redis: RedisServer;
  let settings: NodeJS.ProcessEnv;
  let api: ApiProcess;
  let ada: TestLearner;
  const workers: ApiProcess[] = [];
  const startWorker = async () => {
    const worker = await ApiProcess.start(settings, 'worker');
    workers.push(worker);
    return worker;
  };
  beforeAll(async () => {
    [database, redis] = await Promise.all([createTestDatabase(), startRedis()]);
    settings = {
      DATABASE_URL: database.url,
      REDIS_URL: process.env['TEST_REDIS_URL'],
      REDIS_JOBS_URL: redis.url,
      LOG_ACCESS: 'false',
    };
    api = await ApiProcess.start(settings);
    ada = await newLearner(new HttpClient(api.url));
  }, 60_000);
  afterEach(() => Promise.all(workers.splice(0).map((worker) => worker.stop('SIGKILL'))));
  afterAll(async () => {
    await api?.stop();
    await redis?.stop();
    await database?.drop();
  });

  const rows = <Row extends object>(query: string, values: unknown[] = []) => sql<Row>(databaseUrlOf(settings), query, values);
  const add = async (body: object = text): Promise<string> => (await ada.http.post('/v1/documents', body)).body.id;
  const settled = (id: string) =>
    until(async () => {
      const { body } = await ada.http.get(`/v1/documents/${id}`);
      return body.status !== 'pending' && body;
    }, 60_000);
  const timesEmbedded = async (id: string) =>
    (await rows(`select 1 from audit_events where action = 'document.embedded' and subject_id = $1`, [id])).length;

  it('does what the API leaves behind, which does none of it itself', async () => {
    const id = await add();
    await sleep(1500);
    expect((await ada.http.get(`/v1/documents/${id}`)).body.status).toBe('pending');
    const worker = await startWorker();
    expect(await settled(id)).toMatchObject({ status: 'ready' });
    expect(await timesEmbedded(id)).toBe(1);
    await until(async () => (await rows('select 1 from audit_batches')).length > 0, 20_000); // it seals
    expect(api.log).not.toContain('embed');
    expect(worker.log).not.toContain('warning: The Redis of the jobs');
    for (const each of [api, worker]) expect(each.log).not.toContain('ExperimentalWarning');
    await withRedis(redis.url, async (client) => {
      expect((await client.keys('*')).filter((key) => !key.startsWith('{jobs}:'))).toEqual([]);
    });
  }, 60_000);

  it('serves health and metrics, and nothing else', async () => {
    const worker = await startWorker();
    const http = new HttpClient(worker.url);
    expect((await http.get('/health/live')).body).toEqual({ status: 'ok' });
    const ready = await http.get('/health/ready');
    expect([ready.status, ready.body.status, ready.body.checks.jobs]).toEqual([200, 'ok', { status: 'up' }]);
    const { text: metrics } = await http.get('/metrics');
    for (const name of ['waiting', 'dead', 'oldest_seconds']) {
      expect(metrics).toMatch(new RegExp(`^studently_jobs_${name}{job="embed-document"} \\d`, 'm'));
    }
    for (const path of ['/', '/docs', '/v1/documents', '/v1/users/me']) expect((await http.get(path)).status).toBe(404);
  }, 60_000);

  it('killed in the middle of a job leaves it to another, which does it once', async () => {
    const first = await startWorker();
    const id = await add({ ...text, content: LONG });
    await until(async () => (await rows('select 1 from jobs where subject_id = $1 and taken = 1', [id])).length === 1);
    await first.stop('SIGKILL');
    await startWorker();
    expect(await settled(id)).toMatchObject({ status: 'ready' });
    expect(await timesEmbedded(id)).toBe(1);
    expect(await rows('select 1 from jobs where subject_id = $1', [id])).toEqual([]);
  }, 90_000);

  it('at SIGTERM hands back what takes long, and ends with 0; another goes on at once', async () => {
    const first = await startWorker();
    const id = await add({ ...text, content: LONG });
    await until(async () => (await rows('select 1 from jobs where subject_id = $1 and taken = 1', [id])).length === 1);
    expect(await first.stop()).toBe(0);
    const [job] = await rows<{ attempts: number; isDue: boolean }>(
      'select attempts, available_at <= clock_timestamp() as "isDue" from jobs where subject_id = $1',
      [id],
    );
    if (job) expect(job).toEqual({ attempts: 0, isDue: true }); // a quick machine may have finished it
    await startWorker();
    expect(await settled(id)).toMatchObject({ status: 'ready' });
    expect(await timesEmbedded(id)).toBe(1);
  }, 90_000);

  it('without their Redis jobs wait, requests do not; back again, all are done', async () => {
    const worker = await startWorker();
    await redis.stop('SIGKILL');
    const start = performance.now();
    const id = await add();
    expect(performance.now() - start).toBeLessThan(4000);
    const ready = await until(async () => {
      const answer = await new HttpClient(worker.url).get('/health/ready');
      return answer.body.status === 'degraded' && answer;
    });
    expect([ready.status, ready.body.checks.jobs.status]).toEqual([200, 'down']);
    redis = await redis.restart();
    expect(await settled(id)).toMatchObject({ status: 'ready' });
    expect((await ada.http.get('/health/ready')).status).toBe(200);
  }, 90_000);

  it('dead letters are listed, tried again and dropped by the command line', async () => {
    const jobs = async (...args: string[]) => {
      const { code, out, err } = await studently(settings, '--json', 'jobs', ...args);
      return { code, err, answer: out === '' ? undefined : JSON.parse(out) };
    };
    const [first, second] = [await add(), await add()]; // no worker runs
    await rows(`update jobs set dead_at = now(), attempts = 5, failure = 'EMBEDDING_FAILED'`);
    const listed = await jobs('list');
    expect(listed).toMatchObject({ code: 2, answer: { jobs: [{ job: 'embed-document', waiting: 0, dead: 2 }] } });
    const [one, other] = listed.answer.dead as { id: string; subjectId: string; learnerId: string; failure: string }[];
    expect(one).toMatchObject({ subjectId: first, learnerId: ada.id, failure: 'EMBEDDING_FAILED', attempts: 5 });
    const said = await studently(settings, 'jobs', 'list');
    expect(said.out).toContain(`${one!.id}  embed-document ${first}`);
    expect(await jobs('retry', one!.id, '999999999')).toMatchObject({ code: 1, err: expect.stringContaining('999999999') });
    expect(await jobs('retry')).toMatchObject({ code: 64 });
    expect(await jobs('drop', 'everything')).toMatchObject({ code: 64 });
    expect(await jobs('drop', other!.id)).toMatchObject({ code: 0, answer: { drop: [other!.id] } });
    expect(await jobs('drop', '--all')).toMatchObject({ code: 0, answer: { drop: [] } });
    await startWorker();
    expect(await settled(first)).toMatchObject({ status: 'ready' });
    expect((await ada.http.get(`/v1/documents/${second}`)).body.status).toBe('pending');
    expect(await jobs('list')).toMatchObject({ code: 0, answer: { jobs: [], dead: [] } });
  }, 90_000);

  it('the keys of a deleted learner are destroyed', async () => {
    const gone = await newLearner(new HttpClient(api.url));
    await gone.http.post('/v1/chats', { title: 'x', messages: [{ role: 'user', content: 'sealed' }] });
    expect((await gone.http.delete(`/v1/users/${gone.id}`)).status).toBe(204);
    expect(await rows(`select 1 from jobs where job = 'destroy-keys' and subject_id = $1`, [gone.id])).toHaveLength(1);
    await startWorker();
    await until(async () => (await rows(`select 1 from jobs where job = 'destroy-keys'`)).length === 0, 20_000);
  }, 60_000);
});
