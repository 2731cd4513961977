import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { register, type Counter } from 'prom-client';
import { createClient, type RedisClientType } from 'redis4';
import { AppendMessage, GetChat, StartChat } from '@studently/ai-interactions';
import { GetUser, OpenSession, RegisterUser, RevokeSessions, Sessions } from '@studently/identity';
import {
  CACHE_STORE,
  Database,
  EventConsumers,
  LearnerKeys,
  ReadModels,
  SESSION_STORE,
  type KeyValueStore,
  type Learner,
} from '@studently/platform';
import { userModel } from '../../libs/identity/src/queries/user.read-model';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { startRedis, type RedisServer } from '../support/servers';

const PASSWORD = 'a very long password';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

const textOf = async (store: KeyValueStore, keys: string[]) => (await store.get(keys)).map((value) => value?.toString());

const PLACES: Record<string, () => NodeJS.ProcessEnv> = {
  Redis: () => ({ REDIS_URL: redis.url }),
  'a Redis Cluster': () => ({ REDIS_MODE: 'cluster', REDIS_URL: process.env['TEST_REDIS_CLUSTER_URL'] }),
  memory: () => ({ REDIS_URL: undefined }),
};

describe.each(Object.keys(PLACES))('A store in %s', (where) => {
  let contexts: TestContexts;
  let store: KeyValueStore;
  beforeAll(async () => {
    contexts = await TestContexts.start(PLACES[where]!());
    store = contexts.app.get<KeyValueStore>(CACHE_STORE);
    await untilItAnswers(store);
  });
  afterAll(() => contexts?.stop());
  const key = (name: string) => `cache:{u:test}:${name}`;

  it('TU-5 answers values in the order of the keys, undefined where there is none', async () => {
    await store.set(key('a'), '1', 60);
    await store.set(key('b'), '2', 60);
    expect(await textOf(store, [key('b'), key('nothing'), key('a'), key('b')])).toEqual(['2', undefined, '1', '2']);
  });

  it('TU-5 answers each of 250 who ask at once with what is theirs, and was there before they asked', async () => {
    const asked = Array.from({ length: 250 }, (_each, nr) => [key(`shared ${nr % 10}`), key(`own ${nr}`), key(`none ${nr}`)]);
    await Promise.all(asked.flatMap(([shared, own]) => [store.set(shared!, shared!, 60), store.set(own!, own!, 60)]));
    const answers = await Promise.all(asked.map((keys) => textOf(store, keys)));
    expect(answers).toEqual(asked.map(([shared, own]) => [shared, own, undefined]));
  });

  it('TU-5 keeps an empty text, which is not nothing', async () => {
    await store.set(key('empty'), '', 60);
    expect(await textOf(store, [key('empty')])).toEqual(['']);
    expect(await store.setIfAbsent(key('empty'), 'x', 60)).toBe(false);
  });

  it.each([
    ['unicode', '🌱 ñ 漢字 \u2028 "quoted" \\ \n line'],
    ['a big value', 'x'.repeat(5_000_000)],
    ['text that looks like something else', '{"v":1}'],
    ['a number', '42'],
    ['the word null', 'null'],
  ])('TU-5 gives back %s as it was', async (name, value) => {
    await store.set(key(name), value, 60);
    expect(await textOf(store, [key(name)])).toEqual([value]);
  });

  it('TU-5 forgets a value when its time is over, however often it is read', async () => {
    await store.set(key('short'), 'x', 1);
    expect(await store.setIfAbsent(key('claimed'), 'x', 1)).toBe(true);
    for (let read = 0; read < 4; read++) {
      expect(await textOf(store, [key('short'), key('claimed')])).toEqual(['x', 'x']);
      await sleep(100);
    }
    await sleep(800);
    expect(await textOf(store, [key('short'), key('claimed')])).toEqual([undefined, undefined]);
    expect(await store.setIfAbsent(key('claimed'), 'y', 60)).toBe(true);
  });

  it('TU-5 a new value has a new time', async () => {
    await store.set(key('renewed'), 'old', 1);
    await store.set(key('renewed'), 'new', 60);
    await sleep(1100);
    expect(await textOf(store, [key('renewed')])).toEqual(['new']);
  });

  it('TU-5 of 50 who claim a key at once exactly one has it', async () => {
    for (let round = 0; round < 5; round++) {
      const claimants = Array.from({ length: 50 }, (_, index) => String(index));
      const claims = await Promise.all(claimants.map((value) => store.setIfAbsent(key(`race ${round}`), value, 60)));
      expect(claims.filter(Boolean)).toHaveLength(1);
      expect(await textOf(store, [key(`race ${round}`)])).toEqual([String(claims.indexOf(true))]);
    }
  });

  it('TU-5 deletes what is named and nothing else, whether it is there or not', async () => {
    await store.set(key('one'), '1', 60);
    await store.set(key('two'), '2', 60);
    await store.delete([key('one'), key('nothing')]);
    await store.delete([]);
    expect(await textOf(store, [key('one'), key('two')])).toEqual([undefined, '2']);
    expect(await store.setIfAbsent(key('one'), 'again', 60)).toBe(true);
  });

  it('says when it answers', async () => {
    await expect(store.ping()).resolves.toBeUndefined();
  });
});

async function untilItAnswers(store: KeyValueStore): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await store.ping();
    } catch (error) {
      if (attempt === 100) throw error;
      await sleep(20);
    }
  }
}

describe('What lies in Redis', () => {
  let contexts: TestContexts;
  let client: RedisClientType;
  let learner: Learner;
  let token: string;
  const login = async (email: string) =>
    (await contexts.commands.execute(new OpenSession({}, email, PASSWORD, { ip: '192.0.2.1', userAgent: 'test' }))).value.token;
  beforeAll(async () => {
    contexts = await TestContexts.start({ REDIS_URL: redis.url });
    await untilItAnswers(contexts.app.get<KeyValueStore>(CACHE_STORE));
    client = createClient({ url: redis.url });
    await client.connect();
  });
  afterAll(async () => {
    await client?.disconnect();
    await contexts?.stop();
  });
  beforeEach(async () => {
    await client.flushAll();
    const id = randomUUID();
    await contexts.commands.execute(new RegisterUser({}, { id, email: `${id}@example.org`, password: PASSWORD }));
    token = await login(`${id}@example.org`);
    learner = await contexts.app.get(Sessions).authenticate(token);
    const chatId = randomUUID();
    await contexts.commands.execute(new StartChat(learner, { id: chatId, title: 'Canary-Title' }));
    await contexts.commands.execute(new AppendMessage(learner, chatId, { id: randomUUID(), role: 'user', content: 'x' }));
    for (let read = 0; read < 2; read++) {
      await contexts.queries.execute(new GetChat(learner, { chatId, after: 0, limit: 50 }));
      for (const part of ['user', 'profile', 'subscription'] as const) {
        await contexts.queries.execute(new GetUser(learner, learner.userId, part)).catch(() => undefined);
      }
    }
  });
  const scan = async () => {
    const keys: string[] = [];
    for await (const key of client.scanIterator()) keys.push(key);
    return keys.sort();
  };
  const sessionKey = () => `session:${learner.sessionId}`;
  /** A process believes a session for half a second without asking anybody. */
  const untilAskedAgain = () => sleep(600);
  /** As another process would, which remembers no view. */
  const readElsewhere = () => {
    const { app } = contexts;
    const requests = register.getSingleMetric('studently_cache_requests_total') as Counter<'outcome'>;
    const readModels = new ReadModels(
      app.get(CACHE_STORE),
      app.get(Database),
      app.get(EventConsumers),
      app.get(LearnerKeys),
      requests,
    );
    return readModels.get(userModel, learner, undefined);
  };
  const isAudited = async (action: string) =>
    (
      await sql(contexts.database.adminUrl, 'select from audit_events where action = $1 and learner_id = $2', [
        action,
        learner.userId,
      ])
    ).length;

  it('RED-7 RED-13 has keys of two shapes only: session:<uuid> and cache:{u:<uuid>}:…', async () => {
    const keys = await scan();
    const uuid = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
    const shape = new RegExp(`^(session:${uuid}|cache:\\{u:${uuid}\\}:[a-z0-9:-]+)$`);
    expect(keys.filter((key) => !shape.test(key))).toEqual([]);
    expect(keys.filter((key) => key.startsWith('session:'))).toEqual([sessionKey()]);
    expect(keys.filter((key) => key.startsWith(`cache:{u:${learner.userId}}:`)).length).toBeGreaterThanOrEqual(4);
  });

  it('RED-15 every cached view and generation ends within 30 minutes, views up to 10 % earlier', async () => {
    for (const key of (await scan()).filter((name) => name.startsWith('cache:'))) {
      const ttl = await client.ttl(key);
      expect([key, ttl > 1800 * 0.9 - 5, ttl <= 1800]).toEqual([key, true, true]);
    }
    // The jitter is there, and goes downwards only.
    const ends = new Set<number>();
    for (let read = 0; read < 20; read++) {
      const key = `cache:{u:${learner.userId}}:user`;
      await client.del(key);
      await readElsewhere();
      await until(async () => (await client.exists(key)) === 1); // who has asked is answered before
      const ttl = await client.ttl(key);
      expect(ttl).toBeLessThanOrEqual(1800);
      ends.add(ttl);
    }
    expect(ends.size).toBeGreaterThan(3);
  });

  it('RED-9 a session ends 24 h after login, and using it does not prolong it', async () => {
    const first = await client.ttl(sessionKey());
    expect([first > 86_390, first <= 86_400]).toEqual([true, true]);
    await client.expire(sessionKey(), 1000); // as if time had passed
    await untilAskedAgain();
    await contexts.app.get(Sessions).authenticate(token);
    expect(await client.ttl(sessionKey())).toBeLessThanOrEqual(1000);
  });

  it('RED-8 SessionData is complete, holds no secret, and makes a lookup without PostgreSQL', async () => {
    const text = (await client.get(sessionKey()))!;
    expect(JSON.parse(text)).toEqual({
      userId: learner.userId,
      role: 'STUDENT',
      issuedAt: expect.stringMatching(/Z$/),
      expiresAt: expect.stringMatching(/Z$/),
      secretHash: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
      ipHash: expect.any(String),
      userAgentHash: expect.any(String),
      authLevel: 1,
      epoch: 1,
    });
    const secret = Buffer.from(token, 'base64url').subarray(32);
    for (const form of ['hex', 'base64', 'base64url'] as const) expect(text).not.toContain(secret.toString(form));
    expect(text).not.toContain('192.0.2.1');
    await client.set(sessionKey(), text.replace('"STUDENT"', '"TEACHER"'));
    await untilAskedAgain();
    expect(await contexts.app.get(Sessions).authenticate(token)).toMatchObject({ userId: learner.userId, role: 'TEACHER' });
  });

  it.each([
    ['garbage', () => 'garbage'],
    ['an empty text', () => ''],
    ['half of it', (text: string) => text.slice(0, 50)],
    ['a role that does not exist', (text: string) => text.replace('STUDENT', 'ROOT')],
    ['a missing field', (text: string) => text.replace('"epoch"', '"other"')],
    ['another type', () => '[]'],
  ])('RED-8 a corrupted session (%s) counts as none, is audited and refilled', async (_, corrupt) => {
    const good = (await client.get(sessionKey()))!;
    await client.set(sessionKey(), corrupt(good));
    await untilAskedAgain();
    expect(await contexts.app.get(Sessions).authenticate(token)).toEqual(learner);
    expect(await isAudited('session.corrupted')).toBe(1);
    expect(JSON.parse((await client.get(sessionKey()))!)).toEqual(JSON.parse(good));
  });

  it('RED-4 a lost session is refilled from PostgreSQL, a revoked one is not', async () => {
    await client.del(sessionKey());
    await untilAskedAgain();
    expect(await contexts.app.get(Sessions).authenticate(token)).toEqual(learner);
    expect(await client.exists(sessionKey())).toBe(1);
    await contexts.commands.execute(new RevokeSessions(learner, 'current'));
    await expect(contexts.app.get(Sessions).authenticate(token)).rejects.toMatchObject({ code: 'SESSION_REVOKED' });
    await client.flushAll();
    await expect(contexts.app.get(Sessions).authenticate(token)).rejects.toMatchObject({ code: 'SESSION_REVOKED' });
  });

  it('a session of one learner does not open with the secret of another', async () => {
    const other = randomUUID();
    await contexts.commands.execute(new RegisterUser({}, { id: other, email: `${other}@example.org`, password: PASSWORD }));
    const bytes = [token, await login(`${other}@example.org`)].map((text) => Buffer.from(text, 'base64url'));
    const mixed = Buffer.concat([bytes[0]!.subarray(0, 32), bytes[1]!.subarray(32)]).toString('base64url');
    const swapped = Buffer.concat([bytes[1]!.subarray(0, 16), bytes[0]!.subarray(16)]).toString('base64url');
    for (const forged of [mixed, swapped]) {
      await expect(contexts.app.get(Sessions).authenticate(forged)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    }
  });

  it('RED-14 an envelope of an unknown version, or none, is a miss that is filled again', async () => {
    const key = `cache:{u:${learner.userId}}:user`;
    const good = (await client.get(key))!;
    expect(good).toMatch(/^\{"v":\d+,/);
    for (const bad of [
      good.replace(/"v":\d+/, '"v":999'),
      good.replace(/"v":\d+,/, ''),
      'garbage',
      '',
      '\n{}',
      good.slice(0, 20),
    ]) {
      await client.set(key, bad);
      const view = await readElsewhere();
      expect(view!.value).toMatchObject({ id: learner.userId });
      await until(async () => (await client.get(key)) !== bad);
      expect(await client.get(key)).toMatch(/^\{"v":\d+,/);
    }
  });

  it('a second server for sessions keeps them apart from the cache', async () => {
    const second = await startRedis();
    const apart = await TestContexts.start({ REDIS_URL: redis.url, REDIS_SESSIONS_URL: second.url });
    try {
      const store = apart.app.get<KeyValueStore>(SESSION_STORE);
      await untilItAnswers(store);
      await store.set('session:x', 'x', 60);
      expect(await client.exists('session:x')).toBe(0);
      expect(await textOf(store, ['session:x'])).toEqual(['x']);
    } finally {
      await apart.stop();
      await second.stop();
    }
  });
});
