import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { ApiProcess } from '../support/api-process';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { HttpClient, newLearner, type Answer } from '../support/http';

const CLIENTS = 400;
const POOL = 20;
/** Ended sessions are heard of by a connection that waits behind no request. */
const BESIDE = 1;

describe('the pool of connections', () => {
  let database: TestDatabase;
  let api: ApiProcess;
  const folder = mkdtempSync(join(tmpdir(), 'studently-pool-'));
  const urlFile = join(folder, 'database-url');
  const settings = () => ({
    DATABASE_URL_FILE: urlFile,
    DATABASE_POOL_SIZE: String(POOL),
    LOG_ACCESS: 'false',
    RATE_LIMIT: '1000000',
    RATE_LIMIT_AUTH: '1000000',
  });
  beforeAll(async () => {
    database = await createTestDatabase();
    writeFileSync(urlFile, database.url);
    api = await ApiProcess.start(settings());
  }, 60_000);
  afterAll(async () => {
    await api?.stop();
    await database?.drop();
    rmSync(folder, { recursive: true });
  });

  const backends = async (login?: string): Promise<number> => {
    const [row] = await sql<{ n: number }>(
      database.adminUrl,
      `select count(*)::int as n from pg_stat_activity
       where datname = current_database() and application_name like 'studently%' and usename = coalesce($1, usename)`,
      [login ?? null],
    );
    return row!.n;
  };
  /** So many clients, one request after the other each, until `work` is done. */
  const underLoad = async (http: HttpClient, clients: number, work: () => Promise<void>): Promise<Answer[]> => {
    const answers: Answer[] = [];
    let over = false;
    const client = async () => {
      while (!over) answers.push(await http.get('/v1/chats')); // a statement each: lists are not cached
    };
    const all = Promise.all(Array.from({ length: clients }, client));
    await work().finally(() => (over = true));
    await all;
    return answers;
  };
  /** Of the histogram of waits: how many took at most so many seconds. */
  const waitsUpTo = async (seconds: number | '+Inf'): Promise<number> => {
    const { text } = await new HttpClient(api.url).get('/metrics');
    return Number(text.split(`studently_pool_wait_seconds_bucket{le="${seconds}"} `)[1]!.split('\n')[0]);
  };
  const statusesOf = (answers: Answer[]) => [...new Set(answers.map(({ status }) => status))];

  it(`PF-2 SC-1 serves ${CLIENTS} clients over ${POOL} connections, without an error`, async () => {
    const { http } = await newLearner(new HttpClient(api.url));
    const [before, longBefore] = [await waitsUpTo('+Inf'), await waitsUpTo(2.5)];
    let most = 0;
    const answers = await underLoad(http, CLIENTS, async () => {
      for (let look = 0; look < 20; look++) {
        most = Math.max(most, await backends());
        await sleep(100);
      }
    });
    expect(statusesOf(answers)).toEqual([200]);
    expect(answers.length).toBeGreaterThan(CLIENTS);
    expect(most).toBeGreaterThan(POOL / 2);
    expect(most).toBeLessThanOrEqual(POOL + BESIDE);
    // Each request has waited once at least, few for long, and with 380 of 400 in line not all of them for nothing.
    const waits = (await waitsUpTo('+Inf')) - before;
    expect(waits).toBeGreaterThanOrEqual(answers.length);
    expect((await waitsUpTo(2.5)) - longBefore).toBeGreaterThan(waits / 2);
    expect(await waitsUpTo(0.001)).toBeLessThan(waits / 2);
  }, 60_000);

  it('SC-1 answers 503 with Retry-After within 5 s when it cannot get through, and recovers', async () => {
    const { http } = await newLearner(new HttpClient(api.url));
    const long = async () => (await waitsUpTo('+Inf')) - (await waitsUpTo(1));
    const longBefore = await long();
    const blocker = new Client(database.adminUrl);
    await blocker.connect();
    await blocker.query('begin; lock table chats in access exclusive mode');
    const started = Date.now();
    const answers = await Promise.all(Array.from({ length: 100 }, () => http.get('/v1/chats')));
    const took = Date.now() - started;
    await blocker.query('rollback');
    await blocker.end();
    expect(statusesOf(answers)).toEqual([503]);
    expect(answers.every(({ headers }) => Number(headers.get('retry-after')) >= 1)).toBe(true);
    expect(took).toBeLessThan(6000);
    expect((await long()) - longBefore).toBeGreaterThanOrEqual(100 - POOL); // in vain, and counted all the same
    expect((await http.get('/v1/chats')).status).toBe(200);
  }, 60_000);

  it('SC-1 a learner whose writes all wait for one row leaves connections to the others', async () => {
    const [ada, eve] = [await newLearner(new HttpClient(api.url)), await newLearner(new HttpClient(api.url))];
    const { body: chat } = await ada.http.post('/v1/chats', { title: 'Hot' });
    const append = () => ada.http.post(`/v1/chats/${chat.id}/messages`, { role: 'user', content: 'Hello' });
    const blocker = new Client(database.adminUrl);
    await blocker.connect();
    await blocker.query('begin');
    await blocker.query('select from chats where id = $1 for update', [chat.id]);
    const appends = Promise.all(Array.from({ length: 3 * POOL }, append));
    await sleep(500);
    const started = Date.now();
    const others = await Promise.all(Array.from({ length: POOL }, () => eve.http.post('/v1/chats', { title: 'Cool' })));
    const took = Date.now() - started;
    const late = await appends;
    await blocker.query('rollback');
    await blocker.end();
    expect(statusesOf(late)).toEqual([503]);
    expect(statusesOf(others)).toEqual([201]);
    expect(took).toBeLessThan(1500);
    expect((await append()).status).toBe(201);
  }, 60_000);

  it('SEC-10 another login takes over from the file of DATABASE_URL_FILE, without a dropped request', async () => {
    const logins = ['first', 'second'].map((name) => `${name}_${new URL(database.url).pathname.slice(6)}`);
    const urlOf = (username: string) => Object.assign(new URL(database.url), { username, password: `of ${username}` }).href;
    for (const login of logins) {
      await sql(database.adminUrl, `create role ${login} login noinherit password 'of ${login}' valid until '2999-01-01'`);
      await sql(database.adminUrl, `grant studently_app, studently_worker to ${login}`);
    }
    const [first, second] = logins as [string, string];
    writeFileSync(urlFile, urlOf(first));
    const own = await ApiProcess.start(settings());
    try {
      const { http } = await newLearner(new HttpClient(own.url));
      let answersOfMore: Answer[] = [];
      const answers = await underLoad(http, 2, async () => {
        await sleep(200);
        writeFileSync(urlFile, ''); // as one that is being written
        await sleep(200);
        writeFileSync(urlFile, urlOf(second));
        await sql(database.adminUrl, `alter role ${first} nologin`);
        answersOfMore = await underLoad(http, 60, () => sleep(1500)); // needs connections that are not there yet
      });
      expect(await backends(second)).toBeGreaterThan(0);
      expect(statusesOf([...answers, ...answersOfMore])).toEqual([200]);
    } finally {
      await own.stop();
      for (const login of logins) await sql(database.adminUrl, `drop role ${login}`);
    }
  }, 60_000);
});
