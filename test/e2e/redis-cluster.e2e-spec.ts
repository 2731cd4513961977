import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProcess, waysWithCluster } from '../support/api-process';
import { HttpClient, newLearner, type Answer, type TestLearner } from '../support/http';
import { RedisCluster } from '../support/redis-cluster';
import { faultOfKey } from '../support/redis-keys';
import { onEachRedis, sessionIdOf, until } from './support';

const LIMIT = 100;
const cluster = waysWithCluster.find(({ name }) => name === 'cluster');

/** A learner with a chat, who writes and reads as long as the load lasts. */
interface Busy extends TestLearner {
  chat: string;
  written: number;
  readToken: string;
}

(cluster ? describe : describe.skip)('A Redis Cluster of six', () => {
  let redis: RedisCluster;
  let place: Awaited<ReturnType<NonNullable<typeof cluster>['open']>>;
  let api: ApiProcess;
  /** Counts to a limit, and is asked for nothing else: its metrics are of what the tests do. */
  let strict: ApiProcess;
  let learners: Busy[];
  beforeAll(async () => {
    [redis, place] = await Promise.all([RedisCluster.start(), cluster!.open()]);
    const settings = { ...place.settings, REDIS_URL: redis.url };
    api = await ApiProcess.start(settings);
    strict = await ApiProcess.start({ ...settings, RATE_LIMIT: String(LIMIT) });
    learners = [];
    for (let nr = 0; nr < 8; nr++) learners.push(await busyLearner(new HttpClient(api.url)));
  }, 120_000);
  afterAll(async () => {
    await Promise.all([api?.stop(), strict?.stop()]);
    await redis?.stop();
    await place?.close();
  });
  const readiness = async () => (await new HttpClient(api.url).get('/health/ready')).body.status as string;
  const mastersOf = ({ id, token }: TestLearner) => [
    redis.masterOf(`cache:{u:${id}}:`),
    redis.masterOf(`session:${sessionIdOf(token)}`),
  ];
  const hitsOf = async () => {
    const metrics = await (await fetch(`${strict.url}/metrics`)).text();
    return Number(/studently_cache_requests_total\{outcome="hit"\} (\d+)/.exec(metrics)?.[1] ?? 0);
  };

  it('RED-2 RED-7 RED-10 RED-13 spreads sessions, views and counts over its masters, under their own keys only', async () => {
    const keys = await onEachRedis(redis.url, async (node) => {
      const found = [];
      for (const key of await node.keys('*')) found.push({ key, fault: faultOfKey(key, await node.ttl(key)) });
      return [found];
    });
    expect(keys).toHaveLength(3);
    for (const ofOne of keys) expect(ofOne.length).toBeGreaterThan(0);
    expect(keys.flat().filter(({ fault }) => fault)).toEqual([]);
    for (const kind of ['session:', 'cache:', 'ratelimit:']) {
      expect([kind, keys.flat().some(({ key }) => key.startsWith(kind))]).toEqual([kind, true]);
    }
  });

  it.each<['killed' | 'stopped, and closes nothing', NodeJS.Signals]>([
    ['killed', 'SIGKILL'],
    ['stopped, and closes nothing', 'SIGSTOP'],
  ])(
    'RED-2 SC-2 goes on when a master is %s under load: nothing wrong, no 5xx, cached again within 15 s',
    async (_how, signal) => {
      // One whose views and whose session are lost together, and one whose session had ended before.
      const [victim, gone] = [await learnerOnOneMaster(), await learnerOnOneMaster()];
      const [lost] = mastersOf(victim) as [number];
      expect((await gone.http.delete('/v1/sessions/current')).status).toBe(204);
      const counted = new HttpClient(strict.url, (await learnerOnOneMaster(lost)).token);
      const remaining = async () => Number(/;r=(\d+)/.exec((await counted.get('/v1/users/me')).headers.get('ratelimit')!)![1]);
      for (let nr = 0; nr < 60; nr++) await remaining();

      const load = new Load([...learners, victim], gone);
      await sleep(500);
      await redis.signalNode(lost, signal);
      const since = performance.now();
      await until(async () => (await readiness()) === 'degraded', 10_000);
      expect((await victim.http.get(`/v1/chats/${victim.chat}`)).status).toBe(200); // PostgreSQL answers
      expect((await victim.http.get('/v1/users/me')).status).toBe(200);
      await until(async () => (await readiness()) === 'ok', 15_000);
      await until(async () => {
        const before = await hitsOf();
        await new HttpClient(strict.url, victim.token).get(`/v1/users/${victim.id}`);
        return (await hitsOf()) > before || sleep(300, false); // it may not ask more often than its limit
      }, 15_000);
      const recoveredMs = performance.now() - since;
      const left = await remaining();
      await sleep(500);
      const { answers, wrong } = await load.end();

      expect(wrong).toEqual([]);
      expect(recoveredMs).toBeLessThan(15_000);
      expect(answers).toBeGreaterThan(100);
      expect(redis.masterOf(`cache:{u:${victim.id}}:`)).not.toBe(lost);
      // The count of before has come over to the new master.
      expect([left >= 0, left < LIMIT - 60]).toEqual([true, true]);
      for (const learner of [...learners, victim]) {
        const read = await learner.http.get(`/v1/chats/${learner.chat}`, { headers: { 'x-read-token': learner.readToken } });
        expect(read.body.messageCount).toBe(learner.written);
        // Nor does an older view come back with the replica for whoever has no token.
        await until(
          async () => (await learner.http.get(`/v1/chats/${learner.chat}`)).body.messageCount === learner.written,
          2000,
        );
      }
      await redis.revive(lost);
      await until(async () => (await readiness()) === 'ok', 15_000);
    },
    120_000,
  );

  /** Whose views and session are on the same master, as a third of all have. */
  async function learnerOnOneMaster(wanted?: number): Promise<Busy> {
    for (;;) {
      const learner = await busyLearner(new HttpClient(api.url));
      const [views, session] = mastersOf(learner);
      if (views === session && views === (wanted ?? views)) return learner;
    }
  }
});

async function busyLearner(http: HttpClient): Promise<Busy> {
  const learner = await newLearner(http);
  const chat = await learner.http.post('/v1/chats', { title: 'Failover' });
  await learner.http.get(`/v1/chats/${chat.body.id}`);
  await learner.http.get('/v1/users/me');
  return { ...learner, chat: chat.body.id, written: 0, readToken: chat.headers.get('x-read-token')! };
}

/** Everybody writes and reads, one after the other, until it ends. */
class Load {
  private readonly wrong: string[] = [];
  private answers = 0;
  private isOver = false;
  private readonly running: Promise<void>;

  /** @param gone has no session any more */
  constructor(learners: Busy[], gone: TestLearner) {
    const everybody = [...learners.map((learner) => () => this.writeAndRead(learner)), () => this.tryEnded(gone)];
    this.running = Promise.all(everybody.map((turn) => this.repeat(turn))).then(() => undefined);
  }

  async end(): Promise<{ answers: number; wrong: string[] }> {
    this.isOver = true;
    await this.running;
    return { answers: this.answers, wrong: this.wrong };
  }

  private async repeat(turn: () => Promise<void>): Promise<void> {
    while (!this.isOver) {
      await turn();
      await sleep(20);
    }
  }

  private async writeAndRead(learner: Busy): Promise<void> {
    const path = `/v1/chats/${learner.chat}`;
    const append = await learner.http.post(`${path}/messages`, { id: randomUUID(), role: 'user', content: 'Still there?' });
    this.expect('append', append, 201, append.body?.seq, learner.written + 1);
    learner.written++;
    learner.readToken = append.headers.get('x-read-token')!;
    const read = await learner.http.get(path, { headers: { 'x-read-token': learner.readToken } });
    this.expect('read', read, 200, read.body?.messageCount, learner.written);
    const own = await learner.http.get('/v1/users/me');
    this.expect('session', own, 200, own.body?.id, learner.id);
  }

  private async tryEnded({ http }: TestLearner): Promise<void> {
    const answer = await http.get('/v1/users/me');
    this.expect('ended session', answer, 401, answer.body?.code, 'SESSION_REVOKED');
  }

  private expect(what: string, { status, text }: Answer, rightStatus: number, found: unknown, right: unknown): void {
    this.answers++;
    if (status !== rightStatus || found !== right)
      this.wrong.push(`${what}: ${status} ${text.slice(0, 200)}, not ${String(right)}`);
  }
}
