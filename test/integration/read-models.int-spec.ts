import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { register } from 'prom-client';
import { createClient } from 'redis4';
import { AppendMessage, DeleteChat, GetChat, ListChats, ChangeChat, StartChat } from '@studently/ai-interactions';
import {
  BootstrapAdmin,
  ChangePassword,
  ChangeProfile,
  ChangeRole,
  ChangeUser,
  DeleteProfile,
  DeleteSubscription,
  DeleteUser,
  GetPreferences,
  GetUser,
  ListUsers,
  PutProfile,
  PutSubscription,
} from '@studently/identity';
import {
  CACHE_STORE,
  Database,
  EventConsumers,
  LearnerKeys,
  ReadModels,
  type KeyValueStore,
  type Learner,
} from '@studently/platform';
import { GetProgress, RecordProgress } from '@studently/study';
import { getToken } from '@willsoto/nestjs-prometheus';
import { chatModel } from '../../libs/ai-interactions/src/queries/chat.read-model';
import { CACHE_REQUESTS } from '../../libs/platform/src/cache/read-models';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { startRedis, withClient, type RedisServer } from '../support/servers';

describe('Read models', () => {
  let redis: RedisServer;
  let contexts: TestContexts;
  let pool: Pool;
  let store: KeyValueStore;
  beforeAll(async () => {
    redis = await startRedis();
    contexts = await TestContexts.start({ REDIS_URL: redis.url });
    pool = await contexts.app.get(Database).pool();
    store = contexts.app.get<KeyValueStore>(CACHE_STORE);
    await untilRedisAnswers();
    await contexts.silence();
  });
  afterAll(async () => {
    await contexts?.stop();
    await redis?.stop();
  });

  async function untilRedisAnswers(): Promise<void> {
    while (
      !(await store.ping().then(
        () => true,
        () => false,
      ))
    )
      await sleep(20);
  }
  /** How many transactions the work cost, counted on the server side of the pool: connections taken out of it. */
  async function transactionsOf(work: () => Promise<unknown>): Promise<number> {
    let count = 0;
    const taken = () => count++;
    pool.on('acquire', taken);
    await work().finally(() => pool.off('acquire', taken));
    return count;
  }
  const requests = async (outcome: string) => {
    const metric = await register.getSingleMetric('studently_cache_requests_total')!.get();
    return metric.values.find((value) => value.labels['outcome'] === outcome)?.value ?? 0;
  };
  /** The read models of another process, as far as they share nothing with ours but the store and the database. */
  const anotherProcess = () =>
    new ReadModels(
      store,
      contexts.app.get(Database),
      contexts.app.get(EventConsumers),
      contexts.app.get(LearnerKeys),
      contexts.app.get(getToken(CACHE_REQUESTS)),
    );
  const newChat = async (learner: Learner, title = 'Chat') => {
    const id = randomUUID();
    await contexts.commands.execute(new StartChat(learner, { id, title }));
    return id;
  };
  const getChat = async (learner: Learner, chatId: string, readToken?: string) =>
    (await contexts.queries.execute(new GetChat(learner, { chatId, after: 0, limit: 50 }, readToken))).value;
  const getUser = async (learner: Learner) =>
    (await contexts.queries.execute(new GetUser(learner, learner.userId, 'user'))).value;
  const message = () => ({ id: randomUUID(), role: 'user' as const, content: 'x' });

  it('RED-3 DC-4 a second read costs no SQL at all, and is counted as a hit', async () => {
    const learner = await contexts.newLearner();
    const chatId = await newChat(learner);
    const [hits, misses] = [await requests('hit'), await requests('miss')];
    let first: unknown;
    expect(await transactionsOf(async () => (first = await getChat(learner, chatId)))).toBe(1);
    expect([await requests('hit'), await requests('miss')]).toEqual([hits, misses + 1]);
    const calls = async () =>
      (
        await sql<{ calls: number }>(
          contexts.database.adminUrl,
          `select coalesce(sum(calls), 0)::int as calls from pg_stat_statements s
         join pg_database d on d.oid = s.dbid where d.datname = current_database() and query like '%from chats c cross join lateral%'
         and query not like '%pg_stat_statements%'`,
        )
      )[0]!.calls;
    const before = await calls();
    expect(before).toBeGreaterThan(0);
    expect(await transactionsOf(async () => expect(await getChat(learner, chatId)).toEqual(first))).toBe(0);
    expect(await calls()).toBe(before);
    expect([await requests('hit'), await requests('miss')]).toEqual([hits + 1, misses + 1]);
  });

  it('RED-3 a view that this process has answered before costs a look at its generation, and no bytes of it', async () => {
    const learner = await contexts.newLearner();
    const chatId = await newChat(learner);
    const first = await getChat(learner, chatId);
    const asked = jest.spyOn(store, 'get');
    try {
      expect(await getChat(learner, chatId)).toEqual(first);
      expect(asked.mock.calls).toEqual([[[`cache:{u:${learner.userId}}:generation:chat:${chatId}`]]]);
    } finally {
      asked.mockRestore();
    }
    await store.delete([`cache:{u:${learner.userId}}:generation:chat:${chatId}`]); // as another process that has changed it
    expect(await transactionsOf(() => getChat(learner, chatId))).toBe(1);
  });

  it('SEC-6 what lies in Redis cannot be read, and once the learner’s keys are destroyed nobody can open it', async () => {
    const canary = `canary${randomUUID()}`;
    const learner = await contexts.newLearner();
    const progressId = randomUUID();
    await contexts.commands.execute(new RecordProgress(learner, { id: progressId, category: canary, score: 1 }));
    await contexts.queries.execute(new GetProgress(learner, progressId));
    const chatId = await newChat(learner, canary);
    await getChat(learner, chatId);
    const client = createClient({ url: redis.url });
    await client.connect();
    const kept = async () => {
      const names = await client.keys(`cache:{u:${learner.userId}}:*`);
      return names.filter((name) => /:(chat|progress):[^:]+(:0:50)?$/.test(name) && !/:(generation|filling):/.test(name));
    };
    const views = await until(async () => (await kept()).length === 2 && kept());
    const values = await Promise.all(views.map((name) => client.get(name)));
    await client.disconnect();
    expect(values.map((value) => value!.includes(canary))).toEqual([false, false]);

    const elsewhere = () => anotherProcess().get(chatModel, learner, { chatId, after: 0, limit: 50 });
    expect(await transactionsOf(elsewhere)).toBe(0);
    await contexts.app.get(LearnerKeys).destroy(learner.userId);
    expect(await transactionsOf(elsewhere)).toBe(1);
  });

  describe('after a change', () => {
    const PASSWORD = (id: string) => `a long password ${id.slice(0, 4)}xyz`;
    const subscription = {
      plan: 'basic',
      status: 'active' as const,
      currentPeriodStart: new Date('2026-01-01'),
      currentPeriodEnd: new Date('2026-02-01'),
      cancelAtPeriodEnd: false,
    };
    let admin: Learner;
    beforeAll(async () => {
      await contexts.commands.execute(new BootstrapAdmin('admin@example.org', 'a very long password'));
      const [row] = await sql<{ id: string }>(contexts.database.adminUrl, `select id from users where role = 'ADMIN'`);
      admin = { userId: row!.id, role: 'ADMIN' };
    });

    it('DC-4 the next read of a user shows it, whichever command made it', async () => {
      const learner = await contexts.newLearner();
      const id = learner.userId;
      const { commands } = contexts;
      const changes: [name: string, change: () => Promise<unknown>][] = [
        ['PutProfile', () => commands.execute(new PutProfile(learner, id, { firstName: 'Ada', lastName: 'L' }))],
        ['ChangeProfile', () => commands.execute(new ChangeProfile(learner, id, { preferences: { theme: 'dark' } }))],
        ['ChangeUser', () => commands.execute(new ChangeUser(learner, id, { email: `${randomUUID()}@example.org` }))],
        ['ChangePassword', () => commands.execute(new ChangePassword(learner, id, PASSWORD(id), 'another very long password'))],
        ['PutSubscription', () => commands.execute(new PutSubscription(admin, id, subscription))],
        ['PutSubscription again', () => commands.execute(new PutSubscription(admin, id, { ...subscription, plan: 'pro' }))],
        ['DeleteSubscription', () => commands.execute(new DeleteSubscription(admin, id))],
        ['ChangeRole', () => commands.execute(new ChangeRole(admin, id, 'TEACHER'))],
        ['DeleteProfile', () => commands.execute(new DeleteProfile(learner, id))],
      ];
      for (const [name, change] of changes) {
        const before = await getUser(learner);
        expect(await transactionsOf(() => getUser(learner))).toBe(0);
        await change();
        const after = await getUser(learner);
        expect([name, after.version > before.version]).toEqual([name, true]);
      }
      await commands.execute(new DeleteUser(learner, id));
      await expect(getUser(learner)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it("DC-4 the next look at a learner's preferences shows it; that there is no profile is remembered as well", async () => {
      const learner = await contexts.newLearner();
      const preferences = (readToken?: string) => contexts.queries.execute(new GetPreferences(learner, readToken));
      expect(await preferences()).toEqual({});
      expect(await transactionsOf(async () => expect(await preferences()).toEqual({}))).toBe(0);
      const berlin = { firstName: 'Ada', lastName: 'L', preferences: { timeZone: 'Europe/Berlin', theme: 'dark' } };
      const { readToken } = await contexts.commands.execute(new PutProfile(learner, learner.userId, berlin));
      expect(await preferences(readToken)).toEqual(berlin.preferences);
      expect(await transactionsOf(preferences)).toBe(0);
      await contexts.commands.execute(new DeleteProfile(learner, learner.userId));
      expect(await preferences()).toEqual({});
      expect(await contexts.queries.execute(new GetPreferences({ userId: randomUUID(), role: 'STUDENT' }))).toEqual({});
    });

    it('DC-4 the next read of a chat shows it, whichever command made it', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner, 'one');
      const other = await newChat(learner, 'other');
      expect([(await getChat(learner, chatId)).title, (await getChat(learner, other)).title]).toEqual(['one', 'other']);
      await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'two' }));
      expect((await getChat(learner, chatId)).title).toBe('two');
      await contexts.commands.execute(new AppendMessage(learner, chatId, message()));
      expect((await getChat(learner, chatId)).messages).toHaveLength(1);
      expect(await transactionsOf(() => getChat(learner, other))).toBe(0); // its neighbour is still cached
      await contexts.commands.execute(new DeleteChat(learner, chatId));
      await expect(getChat(learner, chatId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it('a chat that was not there is not remembered as missing', async () => {
      const learner = await contexts.newLearner();
      const id = randomUUID();
      await expect(getChat(learner, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await contexts.commands.execute(new StartChat(learner, { id, title: 'now' }));
      expect((await getChat(learner, id)).title).toBe('now');
    });

    it("an ADMIN's look at a learner leaves nothing that another could read", async () => {
      const learner = await contexts.newLearner();
      const seen = await contexts.queries.execute(new GetUser(admin, learner.userId, 'user'));
      expect(seen.value.id).toBe(learner.userId);
      const teacher: Learner = { ...(await contexts.newLearner()), role: 'TEACHER' };
      await getUser(learner);
      await expect(contexts.queries.execute(new GetUser(teacher, learner.userId, 'user'))).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      const stranger = await contexts.newLearner();
      const chatId = await newChat(learner);
      await getChat(learner, chatId);
      await expect(getChat(stranger, chatId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });
  });

  it('RED-3 500 requests that miss together cost one query', async () => {
    const learner = await contexts.newLearner();
    const chatId = await newChat(learner, 'wanted');
    let titles: string[] = [];
    for (let round = 0; round < 5; round++) {
      const cost = await transactionsOf(async () => {
        titles = await Promise.all(Array.from({ length: 500 }, async () => (await getChat(learner, chatId)).title));
      });
      expect(titles).toEqual(Array(500).fill('wanted'));
      expect(cost).toBe(1);
      await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'x' }));
      await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'wanted' }));
    }
  });

  it('RED-3 500 requests of two processes that miss together cost one query, and one more if its process dies', async () => {
    const learner = await contexts.newLearner();
    const chatId = await newChat(learner, 'wanted');
    const [one, other] = [anotherProcess(), anotherProcess()];
    const page = { chatId, after: 0, limit: 50 };
    const readAll = (models: ReadModels) => Array.from({ length: 250 }, () => models.get(chatModel, learner, page));
    for (let round = 0; round < 5; round++) {
      await store.delete([`cache:{u:${learner.userId}}:chat:${chatId}:0:50`]); // evicted, under a generation that stays
      const cost = await transactionsOf(async () => {
        const views = await Promise.all([...readAll(one), ...readAll(other)]);
        expect(new Set(views.map((view) => view?.value.title))).toEqual(new Set(['wanted']));
      });
      expect(cost).toBe(1);
      await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'x' }));
      await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'wanted' }));
    }
    await one.get(chatModel, learner, page);
    const [generation] = await store.get([`cache:{u:${learner.userId}}:generation:chat:${chatId}`]);
    await store.delete([`cache:{u:${learner.userId}}:chat:${chatId}:0:50`]);
    await store.set(`cache:{u:${learner.userId}}:filling:${generation!.toString()}:chat:${chatId}:0:50`, '', 1); // by nobody any more
    expect(await transactionsOf(() => anotherProcess().get(chatModel, learner, page))).toBe(1);
  });

  it('TU-5 a slow refill cannot bring back an older value', async () => {
    const learner = await contexts.newLearner();
    const chatId = await newChat(learner, 'old');
    const slow = await withClient(contexts.database.adminUrl, async (blocker) => {
      // The load takes its snapshot, then waits inside its query; meanwhile a write commits and forgets.
      await blocker.query('select pg_advisory_lock(4711)');
      await sql(
        contexts.database.adminUrl,
        `create or replace function iso8601(moment timestamptz) returns text language plpgsql stable as $$
         begin
           if current_setting('transaction_read_only') = 'on' and pg_try_advisory_lock_shared(4712) then
             perform pg_advisory_unlock_shared(4712);
             perform pg_advisory_lock_shared(4711);
             perform pg_advisory_unlock_shared(4711);
           end if;
           return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
         end $$`,
      );
      const load = getChat(learner, chatId);
      for (;;) {
        const waiting = await blocker.query(`select from pg_locks where locktype = 'advisory' and not granted
                                             and database = (select oid from pg_database where datname = current_database())`);
        if (waiting.rowCount === 1) break;
        await sleep(10);
      }
      await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'new' }));
      await blocker.query('select pg_advisory_lock(4712)'); // later loads do not wait
      expect((await getChat(learner, chatId)).title).toBe('new');
      await blocker.query('select pg_advisory_unlock(4711)');
      return (await load).title;
    });
    expect(slow).toBe('old'); // it began before the write
    for (let read = 0; read < 3; read++) expect((await getChat(learner, chatId)).title).toBe('new');
  });

  it('TU-5 with a read token nobody joins a query that began before that write, even if forgetting has failed', async () => {
    const learner = await contexts.newLearner();
    const chatId = await newChat(learner, 'before');
    const database = contexts.app.get(Database);
    const read = database.read.bind(database);
    let loaded = () => {};
    let letGo = () => {};
    const hasLoaded = new Promise<void>((resolve) => (loaded = resolve));
    const mayGo = new Promise<void>((resolve) => (letGo = resolve));
    jest.spyOn(database, 'read').mockImplementationOnce(async (...args) => {
      const rows = await read(...args);
      loaded();
      await mayGo;
      return rows;
    });
    jest.spyOn(store, 'delete').mockRejectedValueOnce(new Error('Redis is away'));
    try {
      const slow = getChat(learner, chatId);
      await hasLoaded;
      const { readToken } = await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'after' }));
      const withToken = getChat(learner, chatId, readToken);
      letGo();
      expect((await slow).title).toBe('before');
      expect((await withToken).title).toBe('after');
    } finally {
      letGo();
      jest.restoreAllMocks();
    }
  });

  it('TI-5 under random reads and writes nobody reads something older than what was acknowledged', async () => {
    const learner = await contexts.newLearner();
    const chatId = await newChat(learner);
    let acknowledged = 0;
    let stop = false;
    const writer = (async () => {
      for (let n = 1; n <= 150; n++) {
        await contexts.commands.execute(new ChangeChat(learner, chatId, { title: String(n) }));
        acknowledged = n;
      }
      stop = true;
    })();
    let reads = 0;
    const stale: string[] = [];
    await Promise.all([
      writer,
      ...Array.from({ length: 6 }, async () => {
        while (!stop) {
          const atLeast = acknowledged;
          const { title } = await getChat(learner, chatId);
          if (title !== 'Chat' && Number(title) < atLeast) stale.push(`${title} < ${atLeast}`);
          reads++;
          await sleep(Math.random() * 2);
        }
      }),
    ]);
    expect(stale).toEqual([]);
    expect(reads).toBeGreaterThan(100);
    expect((await getChat(learner, chatId)).title).toBe('150');
  });

  it('OV-1 RED-16 Redis flushed, stopped and started again: every query answers the same, and nothing is lost', async () => {
    const learner = await contexts.newLearner();
    const admin: Learner = { userId: learner.userId, role: 'ADMIN' };
    const chatId = await newChat(learner, 'kept');
    await contexts.commands.execute(new PutProfile(learner, learner.userId, { firstName: 'Ada', lastName: 'L' }));
    await contexts.commands.execute(new AppendMessage(learner, chatId, message()));
    const answers = async () => {
      const page = { limit: 50 };
      return Promise.all([
        contexts.queries.execute(new GetChat(learner, { chatId, after: 0, limit: 50 })),
        contexts.queries.execute(new GetUser(learner, learner.userId, 'user')),
        contexts.queries.execute(new GetUser(learner, learner.userId, 'profile')),
        contexts.queries.execute(new ListChats(learner, {}, page)),
        contexts.queries.execute(new ListUsers(admin, {}, page)),
      ]).then((views) => views.map((view) => view.json.toString()));
    };
    const before = await answers();
    expect(await answers()).toEqual(before);

    const client = createClient({ url: redis.url });
    await client.connect();
    await client.flushAll();
    await client.disconnect();
    expect(await answers()).toEqual(before);

    await redis.stop('SIGKILL');
    expect(await answers()).toEqual(before);
    await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'while it was away' }));
    expect((await getChat(learner, chatId)).title).toBe('while it was away');

    redis = await redis.restart();
    await untilRedisAnswers();
    expect((await getChat(learner, chatId)).title).toBe('while it was away');
    await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'kept' }));
    expect(await transactionsOf(() => getChat(learner, chatId))).toBe(1);
    expect(await transactionsOf(() => getChat(learner, chatId))).toBe(0); // it is used again
    const without = (json: string) => json.replaceAll(/"(updatedAt|version)":("[^"]+"|\d+)/g, '');
    expect((await answers()).map(without)).toEqual(before.map(without));
  });
});
