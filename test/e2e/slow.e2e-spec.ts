import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { ApiProcess, embedded } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { describeServed } from '../support/served';
import { startPostgres, type PostgresServer } from '../support/servers';
import { studently } from '../support/studently';
import { until } from './support';

const CONF = readFileSync(join(__dirname, '../../deploy/postgres/statements.conf'), 'utf8');
const settingsOf = (conf: string) =>
  Object.fromEntries([...conf.matchAll(/^([a-z_.]+) = (.*)$/gm)].map(([, name, value]) => [name!, value!.replaceAll("'", '')]));
const DATABASE = 'slow';

describeServed('studently slow', () => {
  let server: PostgresServer;
  let settings: NodeJS.ProcessEnv;
  let api: ApiProcess;
  let ada: TestLearner;
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(server.url(DATABASE), text, values);
  const slow = async (...words: string[]) => {
    const { code, out, err } = await studently(settings, '--json', 'slow', ...words);
    expect(err).toBe('');
    return { code, ...(JSON.parse(out) as { statements: any[]; executions: any[] }) };
  };

  beforeAll(async () => {
    server = await startPostgres({ ...settingsOf(CONF), logging_collector: 'on' });
    await sql(server.url('postgres'), `create database ${DATABASE}`);
    await new Migrations({ url: server.url(DATABASE), embedded: false }).up();
    await rows('grant studently_app, studently_worker to studently_login');
    settings = { DATABASE_URL: server.appUrl(DATABASE), LOG_ACCESS: 'false' };
    api = await ApiProcess.start(settings);
    ada = await newLearner(new HttpClient(api.url));
  }, 240_000);
  afterAll(async () => {
    await api?.stop('SIGKILL');
    await server?.remove();
  });

  it('MO-3 a request with pg_sleep in it is in the log and in `studently slow`, with its statement and its plan', async () => {
    await ada.http.post('/v1/progress', { category: 'algebra', score: 1 });
    await rows(
      `create policy planted on progress as restrictive for select to studently_app using (pg_sleep(0.4) is not null)`,
    );
    const requestId = randomUUID();
    expect((await ada.http.get('/v1/progress', { headers: { 'x-request-id': requestId } })).status).toBe(200);
    await rows('drop policy planted on progress');
    const executions = await until(async () => {
      const found = (await slow(requestId)).executions;
      return found.length > 0 && found;
    }, 60_000);
    expect(executions).toEqual([
      expect.objectContaining({
        requestId,
        outcome: 'ok',
        statement: expect.stringMatching(/^[0-9a-f]{16}$/),
        sql: expect.stringContaining('progress'),
      }),
    ]);
    const [{ statement, milliseconds, plan }] = executions;
    expect(milliseconds).toBeGreaterThanOrEqual(350); // counted from when the process hears that it began
    expect(JSON.stringify(plan)).toContain('pg_sleep(?');
    const line = api.log.split('\n').find((text) => text.includes(requestId))!;
    expect(JSON.parse(line)).toMatchObject({ msg: 'Slow statement', requestId, statement, milliseconds });
    // The same id leads to what the server counts of it.
    const [counted] = await rows<{ calls: string }>('select calls from operations.statement_counters where statement = $1', [
      statement,
    ]);
    expect(Number(counted!.calls)).toBeGreaterThanOrEqual(1);

    const { code, out } = await studently(settings, 'slow', requestId);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining(`request ${requestId}`) });
    expect(out).toMatch(/→ .* on progress \(cost [^→]*Filter: .*pg_sleep/);
  }, 120_000);

  it('MO-3 a pg_sleep of somebody else is among the statements that take the time', async () => {
    await rows('select pg_sleep(0.3)');
    const { code, statements } = await slow();
    expect(code).toBe(0);
    const sleeping = statements.find(({ sql: text }) => text === 'select pg_sleep($1)');
    expect(sleeping).toMatchObject({ calls: 1, before: null, isSlower: false });
    expect(sleeping.mean).toBeGreaterThanOrEqual(300);
  }, 120_000);

  it('MO-3 a statement that fails, or is ended, says so', async () => {
    await rows(`create policy planted on progress as restrictive for select to studently_app using (pg_sleep(30) is not null)`);
    const requestId = randomUUID();
    expect((await ada.http.get('/v1/progress?limit=3', { headers: { 'x-request-id': requestId } })).status).toBe(503);
    await rows('drop policy planted on progress');
    const [one] = await until(async () => {
      const found = (await slow(requestId)).executions;
      return found.length > 0 && found;
    }, 60_000);
    expect(one).toMatchObject({ outcome: '57014', plan: null });
  }, 120_000);

  it('MO-3 a command that was slow writes it down as well, and ends when it is done', async () => {
    const began = Date.now();
    const words = ['import', 'countries', '--limit', '5', '--user', ada.id];
    const { code, out } = await studently({ ...settings, SLOW_STATEMENT_MS: '1' }, ...words);
    expect({ code, out }).toEqual({ code: 0, out: '5 accepted, 0 rejected\n' });
    expect(Date.now() - began).toBeLessThan(25_000); // connections that nobody closes end after 30 s
    const written = await rows(`select from operations.slow_statements where sql ilike '%insert into%study_items%'`);
    expect(written.length).toBeGreaterThan(0);
  }, 60_000);

  it('MO-3 nothing that a learner has written, and no learner, is in any of it', async () => {
    const canary = `canary${randomUUID().replaceAll('-', '')}`;
    for (const table of ['progress', 'study_items', 'chats', 'chat_messages', 'documents']) {
      await rows(
        `create policy planted on ${table} as restrictive for select to studently_app using (pg_sleep(0.3) is not null)`,
      );
    }
    await ada.http.post('/v1/progress', { category: canary, score: 77.25 });
    await ada.http.get(`/v1/progress?category=${canary}`);
    await ada.http.post('/v1/study/items', { type: 'flashcard', content: { front: canary, back: canary }, tags: [canary] });
    await ada.http.get(`/v1/study/items?tag=${canary}`);
    const { body: chat } = await ada.http.post('/v1/chats', { title: canary });
    await ada.http.post(`/v1/chats/${chat.id}/messages`, { role: 'user', content: canary });
    await ada.http.get(`/v1/chats?title=${canary}`);
    await ada.http.post('/v1/documents/search', { text: canary, mode: 'text' });
    for (const table of ['progress', 'study_items', 'chats', 'chat_messages', 'documents'])
      await rows(`drop policy planted on ${table}`);
    const kept = await until(async () => {
      const answer = await slow();
      return answer.executions.filter(({ plan }) => plan !== null).length >= 5 && answer;
    }, 60_000);
    const tables = ['slow_statements', 'statement_counters', 'statement_hours'];
    const stored = await Promise.all(tables.map((table) => rows(`select t::text from operations.${table} t`)));
    const [{ folder }] = (await rows(`select current_setting('data_directory') || '/log' as folder`)) as [{ folder: string }];
    const serverLog = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    const shown = [JSON.stringify(kept), JSON.stringify(stored), api.log, ...serverLog].join('\n');
    expect(shown).toContain('Slow statement');
    expect({ canary: shown.includes(canary), learner: shown.includes(ada.id), chat: shown.includes(chat.id) }).toEqual({
      canary: false,
      learner: false,
      chat: false,
    });
    expect(
      await rows(
        `select query from pg_stat_statements where query like '%${ada.id}%' and query not like '%pg_stat_statements%'`,
      ),
    ).toEqual([]);
  }, 180_000);

  it('MO-3 keeps its history when the server has lost what it counted, and says what is slower than last week', async () => {
    const probe = 'select count(*) from document_types where type = $1';
    const run = async (times: number) => {
      for (let time = 0; time < times; time++) await rows(probe, ['text']);
    };
    const counted = async () =>
      rows<{ statement: string; calls: number }>(
        `select statement, sum(h.calls)::int as calls from operations.statement_hours h join operations.statement_counters c using (statement)
         where c.sql = $1 group by 1`,
        [probe],
      );
    await run(15);
    await slow();
    expect(await counted()).toMatchObject([{ calls: 15 }]);
    await api.stop('SIGKILL');
    await server.stop('SIGQUIT'); // as a crash: its statistics are gone
    server = await server.restart();
    await run(10);
    await slow();
    const { statement } = (await counted())[0]!;
    expect(await counted()).toMatchObject([{ calls: 25 }]);

    await rows(
      `insert into operations.statement_hours select date_trunc('hour', now()) - interval '3 days', $1, 1000, 1`, // 1 µs each
      [statement],
    );
    await rows(`update operations.statement_hours set milliseconds = calls * 5 where statement = $1 and calls = 25`, [
      statement,
    ]);
    const answer = await slow();
    expect(answer.code).toBe(2);
    expect(answer.statements[0]).toMatchObject({ statement, isSlower: true, before: 0.001 });
    const { out } = await studently(settings, 'slow');
    expect(out).toMatch(new RegExp(`^${statement} .*SLOWER × `, 'm'));

    // What is too old goes.
    await rows(`insert into operations.statement_hours select now() - interval '36 days', 'ffffffffffffffff', 1, 1`);
    await rows(
      `insert into operations.slow_statements (at, statement, sql, milliseconds, outcome) values (now() - interval '15 days', 'ffffffffffffffff', 'old', 1, 'ok')`,
    );
    await slow();
    expect(await rows(`select 1 from operations.statement_hours where statement = 'ffffffffffffffff'`)).toEqual([]);
    expect(await rows(`select 1 from operations.slow_statements where sql = 'old'`)).toEqual([]);
  }, 180_000);

  it('says what to grant where it may not see them', async () => {
    await rows('revoke pg_read_all_stats from studently_worker');
    const { code, err } = await studently(settings, 'slow');
    expect({ code, err }).toEqual({ code: 78, err: expect.stringContaining('grant pg_read_all_stats to studently_worker') });
  }, 60_000);
});

describe('studently slow, embedded', () => {
  it('answers, or says what is missing', async () => {
    const place = await embedded.open();
    try {
      const { code, out, err } = await studently(place.settings, 'slow');
      expect({ code, out, err }).toEqual({ code: 0, out: expect.stringContaining('The last 24 hours'), err: '' });
    } finally {
      await place.close();
    }
  }, 120_000);
});
