import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { MikroORM } from '@mikro-orm/postgresql';
import { Logger } from '@nestjs/common';
import { checkServer, Database, Migrations, SYSTEM } from '@studently/platform';
import { ormOptions, SERVER_TIMEOUTS } from '../../libs/platform/src/persistence/connection';
import { until } from '../e2e/support';
import { ApiProcess } from '../support/api-process';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { HttpClient, newLearner } from '../support/http';
import { startPgBouncer, withClient, type PgBouncer } from '../support/servers';
import { Replicas } from '../../libs/platform/src/persistence/replicas';

/** Connections to PostgreSQL that all processes of a test share. */
const CONNECTIONS = 5;

describe('Behind PgBouncer in transaction mode', () => {
  let database: TestDatabase;
  let pooler: PgBouncer;
  /** With one connection, which whoever comes next gets. */
  let narrow: PgBouncer;
  const opened: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    database = await createTestDatabase();
    const start = (connections: number) =>
      startPgBouncer(database.adminUrl, {
        default_pool_size: String(connections),
        admin_users: new URL(database.url).username,
      });
    [pooler, narrow] = await Promise.all([start(CONNECTIONS), start(1)]);
  }, 60_000);
  afterEach(async () => {
    jest.restoreAllMocks();
    while (opened.length > 0) await opened.pop()!();
  });
  afterAll(async () => {
    await narrow?.stop();
    await pooler?.stop();
    await database?.drop();
  });

  const admin = <Row extends object>(text: string, values?: unknown[]) => sql<Row>(database.adminUrl, text, values);
  /** What the read side of a process of its own would be. */
  const processOn = async (url: string, poolSize = 1): Promise<Database> => {
    const target = { url, embedded: false };
    const orm = await MikroORM.init({ ...ormOptions(target, poolSize), entities: [] });
    const process = new Database(orm, target, new Replicas());
    opened.push(async () => {
      await process.beforeApplicationShutdown();
      await orm.close();
    });
    return process;
  };
  /** From now on it is other connections to PostgreSQL. */
  const reconnect = (which: PgBouncer) =>
    withClient(Object.assign(new URL(which.through(database.url)), { pathname: '/pgbouncer' }).href, (console) =>
      console.query('reconnect'),
    );
  /** As deploy/postgres/logins.sh does it for the login of the API. */
  const giveTimeouts = async () => {
    const { username, pathname } = new URL(database.url);
    for (const [name, value] of Object.entries(SERVER_TIMEOUTS)) {
      await admin(`alter role ${username} in database ${pathname.slice(1)} set ${name} = ${value}`);
    }
    await Promise.all([reconnect(pooler), reconnect(narrow)]);
  };

  it('SC-1 a start is refused where waits would have no end, and says how to give them one', async () => {
    const target = { url: pooler.through(database.url), embedded: false };
    await expect(checkServer(target)).rejects.toMatchObject({
      code: 'DB_TIMEOUTS_MISSING',
      message: expect.stringContaining(Object.keys(SERVER_TIMEOUTS).sort().join(', ')),
    });
    await giveTimeouts();
    expect(await checkServer(target)).toEqual([]);
  });

  describe('a prepared statement', () => {
    const LEARNERS_TEXT = `select $1::text as text, current_setting('app.user_id') as "userId"`;
    const ask = async (process: Database) => {
      const [userId, text] = [randomUUID(), randomUUID()];
      const rows = await process.read({ userId, role: 'STUDENT' }, LEARNERS_TEXT, [text]);
      expect(rows).toEqual([{ text, userId }]);
    };
    const prepared = async (process: Database) =>
      new Map(
        (
          await process.read<{ name: string; statement: string }>(SYSTEM, 'select name, statement from pg_prepared_statements')
        ).map(({ name, statement }) => [statement, name]),
      );

    it('has the same name in every process, whatever was asked before', async () => {
      const [one, other] = [await processOn(database.url), await processOn(database.url)];
      const texts = ['select 1', 'select 2', 'select 3'];
      for (const text of texts) await one.read(SYSTEM, text);
      for (const text of texts.toReversed()) await other.read(SYSTEM, text);
      const [names, others] = [await prepared(one), await prepared(other)];
      for (const text of texts) expect(names.get(text)).toMatch(/^studently_[0-9a-f]{32}$/);
      expect(others).toEqual(names);
    });

    it('that another process has made on the connection, or that is on another connection, is done without; once and for all', async () => {
      const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
      const [one, second, third] = await Promise.all([1, 2, 3].map(() => processOn(narrow.through(database.url))));
      await ask(one!);
      await ask(second!); // 42P05: the first has prepared it there
      expect(warn).toHaveBeenCalledTimes(1);
      await reconnect(narrow);
      await ask(one!); // 26000: it was prepared on a connection that is gone
      expect(warn).toHaveBeenCalledTimes(2);
      await ask(second!);
      await third!.read(SYSTEM, 'select 1');
      await second!.read(SYSTEM, 'select 2');
      expect([...(await prepared(third!)).keys()]).toEqual(expect.arrayContaining(['select 1']));
      expect([...(await prepared(third!)).keys()]).not.toContain('select 2');
      expect(warn.mock.calls.flat().join()).toContain('prepared statements');
    });

    it('DC-5 whose write it was, is written once', async () => {
      jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
      const [{ id }] = (await admin<{ id: string }>(
        `insert into outbox (topic, payload) values ('test.counted', '{}') returning id`,
      )) as [{ id: string }];
      const [one, other] = [await processOn(narrow.through(database.url)), await processOn(narrow.through(database.url))];
      const count = async (process: Database) => {
        const text = 'update outbox set attempts = attempts + 1 where id = $1 returning attempts';
        return (await process.write<{ attempts: number }>(SYSTEM, text, [id]))[0]!.attempts;
      };
      const seen = [await count(one), await count(other)];
      await reconnect(narrow);
      seen.push(await count(one), await count(other));
      await admin('delete from outbox where id = $1', [id]);
      expect(seen).toEqual([1, 2, 3, 4]);
    });
  });

  it('SC-1 whoever waits for a lock is told within the time that the login brings', async () => {
    await giveTimeouts();
    const process = await processOn(pooler.through(database.url));
    await withClient(database.adminUrl, async (blocker) => {
      await blocker.query('begin; lock table chats in access exclusive mode');
      const read = process.read({ role: 'STUDENT' }, 'select id from chats');
      await expect(read).rejects.toMatchObject({ code: 'DATABASE_TIMEOUT', cause: { code: '55P03' } }); // told by the server
    });
  });

  it('SC-1 whoever waits for a connection is told by the pooler within 2 s, and does not take the next one with them', async () => {
    const process = await processOn(narrow.through(database.url));
    await withClient(narrow.through(database.url), async (holder) => {
      await holder.query('begin');
      const first = process.read(SYSTEM, 'select 1');
      await sleep(500);
      const next = process.read(SYSTEM, 'select 2 as two');
      await expect(first).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
      await holder.query('rollback');
      expect(await next).toEqual([{ two: 2 }]);
    });
  });

  it('work on the database itself is refused, and leaves nothing behind', async () => {
    const migrations = new Migrations({ url: pooler.through(database.url), embedded: false });
    const refusal = { code: 'DATABASE_POOLED', message: expect.stringContaining('DATABASE_MIGRATION_URL') };
    await expect(migrations.status()).rejects.toMatchObject(refusal);
    await expect(migrations.up()).rejects.toMatchObject(refusal);
    expect(
      await admin(
        `select * from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
      ),
    ).toEqual([]);
  });

  describe('two processes of the API and a worker', () => {
    let processes: ApiProcess[] = [];
    let apis: ApiProcess[] = [];
    beforeAll(async () => {
      await giveTimeouts();
      const settings = {
        DATABASE_URL: pooler.through(database.url),
        DATABASE_POOL_SIZE: '20',
        REDIS_URL: process.env['TEST_REDIS_URL'],
      };
      processes = await Promise.all([
        ApiProcess.start(settings, 'worker'),
        ApiProcess.start(settings),
        ApiProcess.start(settings),
      ]);
      apis = processes.slice(1);
    }, 60_000);
    afterAll(() => Promise.all(processes.map((each) => each.stop())));

    it('PF-2 share a few connections, without an error, and nobody sees what is not theirs', async () => {
      const learners = await Promise.all([0, 1, 2, 3].map((nr) => newLearner(new HttpClient(apis[nr % 2]!.url))));
      let most = 0;
      const client = async (nr: number) => {
        const learner = learners[nr % learners.length]!;
        for (let turn = 0; turn < 5; turn++) {
          const api = new HttpClient(apis[(nr + turn) % 2]!.url, learner.token);
          const chat = await api.post('/v1/chats', { title: learner.id });
          const other = new HttpClient(apis[(nr + turn + 1) % 2]!.url, learner.token);
          const read = await other.get(`/v1/chats/${chat.body.id}`, {
            headers: { 'x-read-token': chat.headers.get('x-read-token')! },
          });
          const list = await api.get('/v1/chats');
          const titles = (list.body.items as { title: string }[]).map(({ title }) => title);
          expect([chat.status, read.status, list.status]).toEqual([201, 200, 200]);
          expect(new Set([read.body.title, ...titles])).toEqual(new Set([learner.id]));
        }
      };
      let over = false;
      const looking = (async () => {
        while (!over) {
          const [row] = await admin<{ n: number }>(
            `select count(*)::int as n from pg_stat_activity where datname = current_database() and usename <> current_user`,
          );
          most = Math.max(most, row!.n);
          await sleep(50);
        }
      })();
      await Promise.all(Array.from({ length: 40 }, (_, nr) => client(nr))).finally(() => (over = true));
      await looking;
      expect(most).toBeGreaterThan(1);
      expect(most).toBeLessThanOrEqual(CONNECTIONS + 1); // the narrow one keeps one, too
    }, 60_000);

    it('deliver what they have committed, seal the audit log and hear of ended sessions', async () => {
      const { http, token } = await newLearner(new HttpClient(apis[0]!.url));
      const elsewhere = new HttpClient(apis[1]!.url, token);
      expect((await elsewhere.get('/v1/sessions/current')).status).toBe(200);
      await http.delete('/v1/sessions/current');
      await until(async () => (await elsewhere.get('/v1/sessions/current')).status === 401);
      await until(async () => (await admin('select from outbox')).length === 0);
      const unsealed = `select from audit_events where xid > (select coalesce(max(last_xid), '0') from audit_batches)`;
      await until(async () => (await admin(unsealed)).length === 0, 20_000);
      const stalled = processes.filter(({ log }) => /"level":(50|60)/.test(log));
      expect(stalled.map(({ log }) => log)).toEqual([]);
    }, 60_000);
  });

  it('SEC-2 nobody is left on a connection', async () => {
    const states = await Promise.all(
      Array.from({ length: CONNECTIONS }, () =>
        withClient(pooler.through(database.url), async (client) => {
          await client.query('begin');
          const { rows } = await client.query(
            `select pg_backend_pid() as pid, current_setting('role') as role, coalesce(current_setting('app.user_id', true), '') as user`,
          );
          await sleep(500); // each has one of its own
          await client.query('rollback');
          return rows[0] as { pid: number; role: string; user: string };
        }),
      ),
    );
    expect(new Set(states.map(({ pid }) => pid)).size).toBe(CONNECTIONS);
    for (const { role, user } of states) expect({ role, user }).toEqual({ role: 'none', user: '' });
  });
});
