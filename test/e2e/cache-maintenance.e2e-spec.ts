import { randomUUID } from 'node:crypto';
import { ApiProcess, describeEachServed, type WayToRun } from '../support/api-process';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { studently } from '../support/studently';
import { onEachRedis, startOwnRedis, withRedis, type OwnRedis } from './support';

describeEachServed('studently cache', (way) => {
  let redis: OwnRedis;
  let place: Awaited<ReturnType<WayToRun['open']>>;
  let settings: NodeJS.ProcessEnv;
  let api: ApiProcess;
  let ada: TestLearner;
  let chat: string;
  beforeAll(async () => {
    [redis, place] = await Promise.all([startOwnRedis(way), way.open()]);
    settings = { ...place.settings, REDIS_URL: redis.url };
    api = await ApiProcess.start(settings);
    ada = await newLearner(new HttpClient(api.url));
    chat = (await ada.http.post('/v1/chats', { title: 'Cached' })).body.id;
    for (const path of ['/v1/users/me', `/v1/chats/${chat}`]) for (let nr = 0; nr < 2; nr++) await ada.http.get(path);
  }, 60_000);
  afterAll(async () => {
    await api?.stop();
    await redis?.stop();
    await place?.close();
  });
  const cache = async (...words: string[]) => {
    const { code, out, err } = await studently(settings, '--json', 'cache', ...words);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const [server] = (JSON.parse(out) as { servers: { url: string; result: any }[] }).servers;
    expect(server!.url).toBe('REDIS_URL');
    return server!.result;
  };
  const allKeys = async () => (await onEachRedis(redis.url, (node) => node.keys('*'))).sort();
  const viewKey = async () => (await allKeys()).find((key) => key.includes(`{u:${ada.id}}:chat`))!;

  it('MN-4 stats counts keys by kind on every server, with their sizes, their ends and the hit rate', async () => {
    const keys = await allKeys();
    const { servers, kinds, removable, foreign, hitRate } = await cache('stats');
    expect(servers).toBe(way.name === 'cluster' ? 3 : 1);
    expect(kinds.sessions).toMatchObject({ keys: 1, bytes: expect.any(Number) });
    expect(kinds.sessions.firstEndsInMs).toBeGreaterThan(86_000_000);
    for (const [kind, longest] of [
      ['views', 1_800_000],
      ['generations', 1_800_000],
      ['rateLimits', 60_000],
    ] as const) {
      expect(kinds[kind].keys).toBeGreaterThan(0);
      expect(kinds[kind].bytes).toBeGreaterThan(50);
      expect(kinds[kind].lastEndsInMs).toBeLessThanOrEqual(longest);
    }
    const ours = keys.filter((key) => !key.startsWith('{jobs}:'));
    const counted = Object.entries<{ keys: number }>(kinds).filter(([kind]) => kind !== 'jobs');
    expect(counted.reduce((sum, [, kind]) => sum + kind.keys, 0)).toBe(ours.length);
    expect({ removable, foreign }).toEqual({
      removable: { orphaned: 0, oldVersion: 0, endless: 0 },
      foreign: { keys: 0, examples: [] },
    });
    expect([hitRate > 0, hitRate < 1]).toEqual([true, true]);

    const { out } = await studently(settings, 'cache', 'stats');
    expect(out).toMatch(/^ {2}sessions +1 keys +[\d,]+ bytes {2}ends in 2[34]\.\d h to 2[34]\.\d h$/m);
    expect(out).not.toContain('127.0.0.1'); // an address may have a password in it
  });

  it('MN-4 clean removes what is orphaned, of another version or endless, and nothing else; --dry-run removes nothing', async () => {
    const [user, elsewhere] = [randomUUID(), randomUUID()];
    const view = await viewKey();
    const foreign = ['cache', 'cache:x', 'session:7', `other:{u:${user}}`, `cache:{u:${user}`];
    const planted = await withRedis(redis.url, async (client) => {
      const good = (await client.get(view))!;
      const put = async (key: string, value: string, seconds?: number) => {
        await client.set(key, value, seconds ? { EX: seconds } : {});
        return key;
      };
      for (const key of foreign) await put(key, good.replace(/"v":\d+/, '"v":1'));
      const orphan = good.replace(/"generation":"[^"]*"/, `"generation":"${randomUUID()}"`);
      return {
        orphaned: [await put(`cache:{u:${user}}:user`, orphan, 600), await put(`cache:{u:${elsewhere}}:user`, orphan, 600)],
        oldVersion: [await put(`cache:{u:${user}}:profile`, good.replace(/"v":\d+/, '"v":1'), 600)],
        endless: [
          await put(`cache:{u:${user}}:generation:user`, 'x'),
          await put(`session:${user}`, '{}'),
          await put(`session:${elsewhere}`, '{}', 90_000),
          await put(`ratelimit:{u:${user}}:default`, '7', 3600),
        ],
      };
    });
    const counts = { orphaned: 2, oldVersion: 1, endless: 4 };
    const before = await allKeys();
    expect((await cache('stats')).removable).toEqual(counts);
    expect((await cache('stats')).foreign).toEqual({ keys: foreign.length, examples: expect.any(Array) });
    expect(await cache('clean', '--dry-run')).toEqual(counts);
    const untouched = (await allKeys()).filter((key) => !key.startsWith('ratelimit:')); // these end meanwhile
    expect(untouched).toEqual(before.filter((key) => !key.startsWith('ratelimit:')));

    expect(await cache('clean')).toEqual(counts);
    const gone = new Set(Object.values(planted).flat());
    const left = (await allKeys()).filter((key) => !key.startsWith('ratelimit:'));
    expect(left).toEqual(before.filter((key) => !gone.has(key) && !key.startsWith('ratelimit:')));
    expect(left).toEqual(expect.arrayContaining([...foreign, view]));
    expect(await cache('clean')).toEqual({ orphaned: 0, oldVersion: 0, endless: 0 });
    expect((await ada.http.get(`/v1/chats/${chat}`)).status).toBe(200);
  });

  it('MN-4 what a write makes stale is orphaned, and goes', async () => {
    const view = await viewKey();
    await ada.http.post(`/v1/chats/${chat}/messages`, { role: 'user', content: 'Hello' });
    expect((await cache('clean')).orphaned).toBeGreaterThan(0);
    expect(await allKeys()).not.toContain(view);
    expect((await ada.http.get(`/v1/chats/${chat}`)).body.messageCount).toBe(1);
  });

  it('MN-4 finds every one of many keys, in batches', async () => {
    const keys = Array.from({ length: 5000 }, () => `session:${randomUUID()}`);
    await withRedis(redis.url, (client) => Promise.all(keys.map((key) => client.set(key, '{}'))));
    expect((await cache('clean')).endless).toBe(5000);
  });

  it('says that Redis is away', async () => {
    const away = { ...settings, REDIS_URL: 'redis://127.0.0.1:1' };
    const { code, err } = await studently(away, 'cache', 'stats');
    expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(/^Redis of REDIS_URL does not answer/) });
  });
});

describe('studently cache, embedded', () => {
  it('MN-4 says that there is nothing to look after', async () => {
    for (const words of [['stats'], ['clean']]) {
      const { code, out } = await studently({}, 'cache', ...words);
      expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('Nothing to do: without REDIS_URL') });
    }
    expect(JSON.parse((await studently({}, '--json', 'cache', 'clean')).out)).toEqual({ dryRun: false, servers: [] });
  });
});
