import { createClient, type RedisClientType } from 'redis4';
import type { ApiProcess } from '../support/api-process';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { vector } from '../support/operations';
import { DATABASE, startApi, startServers } from '../support/platform';
import { describeServed } from '../support/served';
import { startStandby, withClient, type PostgresServer } from '../support/servers';
import { TcpProxy } from '../support/tcp-proxy';
import { Workspace } from '../support/workspace';
import { until } from './support';

type Outcome = 'answered' | 'behind' | 'away' | 'passed-over';

class Quiet extends Workspace {
  progress(): void {}
}

describeServed('Reads from replicas', () => {
  const workspace = new Quiet();
  let primary: PostgresServer;
  let replica: PostgresServer;
  let way: TcpProxy;
  let api: ApiProcess;
  let ada: TestLearner;
  let redis: RedisClientType;

  beforeAll(async () => {
    const servers = await startServers(workspace);
    primary = servers.postgres;
    replica = await workspace.use(
      () => startStandby(primary, 'replica'),
      (server) => server.remove(),
    );
    way = await workspace.use(
      () => TcpProxy.before(replica.port),
      (proxy) => proxy.close(),
    );
    redis = await workspace.use(
      () => createClient({ url: servers.redis.url }).connect() as Promise<RedisClientType>,
      (client) => client.disconnect(),
    );
    const through = Object.assign(new URL(replica.appUrl(DATABASE)), { port: String(way.port) }).href;
    api = await startApi(workspace, { ...servers.settings, DATABASE_REPLICA_URLS: through });
    ada = await newLearner(new HttpClient(api.url));
    for (const server of [primary, replica]) await ask(server, 'create extension pg_stat_statements').catch(() => undefined);
  });
  afterAll(() => workspace.close());

  const ask = <Row extends object>(server: PostgresServer, text: string, values: unknown[] = []): Promise<Row[]> =>
    withClient(server.url(DATABASE), async (client) => (await client.query<Row>(text, values)).rows);

  const outcomes = async (): Promise<Record<Outcome, number>> => {
    const { text } = await ada.http.get('/metrics');
    const counts = text.matchAll(/^studently_replica_reads_total\{.*outcome="([a-z-]+)".*\} (\d+)$/gm);
    return {
      ...{ answered: 0, behind: 0, away: 0, 'passed-over': 0 },
      ...Object.fromEntries([...counts].map(([, outcome, count]) => [outcome, Number(count)])),
    };
  };
  /** What `work` has added to the counts. */
  const during = async (work: () => Promise<unknown>): Promise<Partial<Record<Outcome, number>>> => {
    const before = await outcomes();
    await work();
    const after = await outcomes();
    const more = (Object.keys(after) as Outcome[]).map((outcome) => [outcome, after[outcome] - before[outcome]] as const);
    return Object.fromEntries(more.filter(([, count]) => count > 0));
  };
  /** How often a server has run statements with this in their text. */
  const timesOn = async (server: PostgresServer, like: string): Promise<number> => {
    const [row] = await ask<{ calls: number }>(
      server,
      'select coalesce(sum(calls), 0)::int as calls from pg_stat_statements where query like $1',
      [`%${like}%`],
    );
    return row!.calls;
  };
  const untilCaughtUp = () =>
    until(async () => {
      const [{ lsn }] = (await ask<{ lsn: string }>(primary, 'select pg_current_wal_lsn()::text as lsn')) as [{ lsn: string }];
      const [row] = await ask<{ it: boolean }>(replica, `select pg_last_wal_replay_lsn() >= $1::pg_lsn as it`, [lsn]);
      return row!.it;
    });

  describe('SC-2 answers by a replica', () => {
    const ids: Record<string, string> = {};
    beforeAll(async () => {
      const create = async (path: string, body: unknown) => (await ada.http.post(path, body)).body.id as string;
      ids['chat'] = await create('/v1/chats', { title: 'Photosynthesis' });
      ids['document'] = await create('/v1/documents', { type: 'text', content: 'Leaves are green.', embedding: vector(3) });
      ids['item'] = await create('/v1/study/items', { type: 'flashcard', content: { front: 'bonjour', back: 'good morning' } });
      ids['progress'] = await create('/v1/progress', { category: 'algebra', score: 1 });
      await untilCaughtUp();
    });
    it.each([
      ['GET /v1/chats/{chat}', 'from chats'],
      ['GET /v1/chats', 'from chats'],
      ['GET /v1/documents/{document}', 'from documents'],
      ['GET /v1/documents', 'from documents'],
      ['GET /v1/study/items/{item}', 'from study_items'],
      ['GET /v1/study/items', 'from study_items'],
      ['GET /v1/study/due', 'from study_items'],
      ['GET /v1/study/stats', 'from study_reviews'],
      ['GET /v1/progress/{progress}', 'from progress'],
      ['GET /v1/progress', 'from progress'],
      ['POST /v1/documents/search', 'passages'],
    ])('%s, and the primary is asked for no row of it', async (route, table) => {
      const [method, path] = route.replace(/\{(\w+)\}/, (_, name: string) => ids[name]!).split(' ');
      const body = method === 'POST' ? { vector: vector(3), k: 3 } : undefined;
      // On a busy machine the replica may need more than its 20 ms: then the primary has answered, as it should.
      await until(async () => {
        await redis.flushAll();
        const [there, here] = [await timesOn(replica, table), await timesOn(primary, table)];
        const counts = await during(async () => expect((await ada.http.send(method!, path!, body)).status).toBe(200));
        if (Object.keys(counts).join() !== 'answered') return false;
        expect(await timesOn(replica, table)).toBeGreaterThan(there);
        expect(await timesOn(primary, table)).toBe(here);
        return true;
      });
    });
  });

  it('a write is in the next read, whoever answers it', async () => {
    const { body } = await ada.http.post('/v1/chats', { title: '0' });
    for (let n = 1; n <= 50; n++) {
      await ada.http.patch(`/v1/chats/${body.id}`, { title: String(n) });
      const [one, all] = await Promise.all([ada.http.get(`/v1/chats/${body.id}`), ada.http.get('/v1/chats')]);
      expect(one.body.title).toBe(String(n));
      expect(all.body.items[0].title).toBe(String(n));
    }
  });

  it('one that stands still is passed over, and asked again when it goes on', async () => {
    await ask(replica, 'select pg_wal_replay_pause()');
    await ada.http.post('/v1/chats', { title: 'while it stands still' });
    const counts = await during(async () => {
      for (let read = 0; read < 5; read++) {
        const { body } = await ada.http.get('/v1/chats');
        expect(body.items[0].title).toBe('while it stands still');
      }
    });
    expect(counts.answered).toBeUndefined();
    expect(counts.behind).toBeGreaterThan(0);
    expect(counts['passed-over']).toBeGreaterThan(0);
    await ask(replica, 'select pg_wal_replay_resume()');
    await until(async () => (await during(() => ada.http.get('/v1/chats'))).answered === 1);
  });

  it('one that hears nothing any more is found out by what it has replayed', async () => {
    const [receiver] = await ask<{ pid: number }>(replica, 'select pid from pg_stat_wal_receiver');
    process.kill(receiver!.pid, 'SIGSTOP');
    try {
      await ada.http.post('/v1/chats', { title: 'while it is deaf' });
      const { body } = await ada.http.get('/v1/chats');
      expect(body.items[0].title).toBe('while it is deaf');
    } finally {
      process.kill(receiver!.pid, 'SIGCONT');
    }
  });

  it.each(['half-open', 'refuse'] as const)(
    'one that is away (%s) costs one read half a second, and is asked again when it is back',
    async (kind) => {
      await until(async () => (await during(() => ada.http.get('/v1/chats'))).answered === 1);
      await way.set({ kind });
      const began = performance.now();
      const counts = await during(async () => {
        for (let read = 0; read < 5; read++) expect((await ada.http.get('/v1/chats')).status).toBe(200);
      });
      expect(performance.now() - began).toBeLessThan(3000);
      expect(counts.away).toBeGreaterThan(0);
      expect(counts.answered).toBeUndefined();
      expect((await ada.http.get('/health/ready')).body).toMatchObject({
        status: 'degraded',
        checks: { replicas: { status: 'down' }, postgres: { status: 'up' } },
      });
      await way.heal();
      await until(async () => (await during(() => ada.http.get('/v1/chats'))).answered === 1);
      expect(api.log).toMatch(/The replica at [\d.:]+ does not answer/);
      expect(api.log).toMatch(/The replica at [\d.:]+ is back/);
      expect((await ada.http.get('/health/ready')).body).toMatchObject({
        status: 'ok',
        checks: { replicas: { status: 'up' } },
      });
    },
  );

  it('who somebody is, the primary decides', async () => {
    const counts = await during(async () => {
      expect((await ada.http.get('/v1/sessions')).status).toBe(200);
    });
    expect(counts).toEqual({});
  });

  it('a standby does not say that it sees what was running when it looked', async () => {
    await withClient(primary.url(DATABASE), async (running) => {
      await running.query('begin');
      const { rows } = await running.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
      await running.query('create table running ()'); // so that the standby hears of it
      const xid = BigInt(rows[0]!.xid);
      const { body } = await ada.http.post('/v1/chats', { title: 'later' });
      expect(body.id).toBeDefined();
      await untilCaughtUp();
      const marks = async (server: PostgresServer) =>
        (
          await ask<{ mark: string; snapshot: string }>(
            server,
            'select mark_of(s) as mark, s::text as snapshot from pg_current_snapshot() s',
          )
        )[0]!;
      const there = await marks(replica);
      const [timeline, ...snapshot] = there.mark.split(/[/:]/);
      expect(timeline).toBe('1');
      expect(snapshot.map(String)).toEqual([String(xid), String(xid), '']);
      expect((await marks(primary)).mark).toMatch(new RegExp(`^1/${xid}:\\d+:${xid}$`));
      await running.query('rollback');
    });
  });
});
