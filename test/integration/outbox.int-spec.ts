import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { register, type Gauge } from 'prom-client';
import { GetChat, ChangeChat, StartChat } from '@studently/ai-interactions';
import {
  CACHE_STORE,
  Database,
  DomainEvent,
  EventConsumers,
  OutboxRelay,
  UnitOfWork,
  type KeyValueStore,
  type Learner,
} from '@studently/platform';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { startRedis, withClient } from '../support/servers';

class Counted extends DomainEvent {
  static override readonly topic = 'test.counted';
  constructor(
    readonly learnerId: string,
    readonly subjectId: string,
  ) {
    super();
  }
}
class Hopeless extends DomainEvent {
  static override readonly topic = 'test.hopeless';
  readonly subjectId = 'hopeless';
  constructor(readonly learnerId: string) {
    super();
  }
}

const lagMetric = () => register.getSingleMetric('studently_outbox_lag_seconds') as Gauge;

describe('DC-5 the outbox', () => {
  let contexts: TestContexts;
  let relay: OutboxRelay;
  let consumers: EventConsumers;
  let unitOfWork: UnitOfWork;
  let learner: Learner;
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  beforeEach(async () => {
    contexts = await TestContexts.start();
    relay = contexts.app.get(OutboxRelay);
    await relay.onApplicationShutdown(); // each test says when the relay runs
    consumers = contexts.app.get(EventConsumers);
    unitOfWork = contexts.app.get(UnitOfWork);
    learner = await contexts.newLearner();
    await rows('delete from outbox');
  });
  afterEach(() => contexts?.stop());

  const record = (event: DomainEvent) => unitOfWork.run(learner, async (tx) => tx.record(event));
  const due = () => rows(`update outbox set available_at = clock_timestamp() - interval '1 second'`);
  const waiting = () =>
    rows<{ topic: string; attempts: number; availableAt: number }>(
      'select topic, attempts, extract(epoch from available_at)::float8 as "availableAt" from outbox order by id',
    );
  const clock = async () =>
    (await rows<{ now: number }>('select extract(epoch from clock_timestamp())::float8 as now'))[0]!.now;

  it('delivers what a failed consumer left behind, until it succeeds', async () => {
    const heard: string[] = [];
    let failures = 2;
    consumers.on(Counted, async (event) => {
      if (failures-- > 0) throw new Error('not now');
      heard.push(event.subjectId);
    });
    await record(new Counted(learner.userId, 'a'));
    expect([heard, (await waiting()).length]).toEqual([[], 1]);
    await due();
    expect(await relay.relay()).toMatchObject({ taken: 1 });
    expect([heard, (await waiting()).length]).toEqual([[], 1]);
    await due();
    expect(await relay.relay()).toMatchObject({ taken: 1 });
    expect([heard, await waiting()]).toEqual([['a'], []]);
  });

  it('delivers what a process that died after its commit had not announced', async () => {
    const heard: string[] = [];
    consumers.on(Counted, async (event) => void heard.push(event.subjectId));
    await rows(
      `insert into outbox (topic, learner_id, payload) values ('test.counted', $1::uuid, jsonb_build_object('learnerId', $1::uuid, 'subjectId', 'left'))`,
      [learner.userId],
    );
    await due();
    await relay.relay();
    expect([heard, await waiting()]).toEqual([['left'], []]);
  });

  it('asks a failing consumer again every quarter of a second, and never gives up', async () => {
    consumers.on(Hopeless, () => Promise.reject(new Error('never')));
    await record(new Hopeless(learner.userId));
    for (const attempt of [1, 2, 3, 4, 5]) {
      await due();
      const before = await clock();
      await relay.relay();
      const [[row], after] = [await waiting(), await clock()];
      expect(row!.attempts).toBe(attempt);
      expect(row!.availableAt).toBeGreaterThanOrEqual(before + 0.25);
      expect(row!.availableAt).toBeLessThanOrEqual(after + 0.25);
    }
    await rows(`update outbox set available_at = clock_timestamp() + interval '1 minute'`);
    expect(await relay.relay()).toMatchObject({ taken: 0 }); // it is not its turn
  });

  it('a failing consumer blocks neither the other consumers of its event nor other events', async () => {
    const heard: string[] = [];
    consumers.on(Hopeless, () => Promise.reject(new Error('never')));
    consumers.on(Hopeless, async () => void heard.push('beside it'));
    consumers.on(Counted, async (event) => void heard.push(event.subjectId));
    await rows(
      `insert into outbox (topic, payload) values ('test.hopeless', '{}'), ('test.counted', '{"subjectId": "after it"}')`,
    );
    await due();
    await relay.relay();
    expect(heard).toEqual(['beside it', 'after it']);
    expect((await waiting()).map((row) => row.topic)).toEqual(['test.hopeless']);
  });

  it('is emptied by two relays at once, each message delivered once', async () => {
    const other = new OutboxRelay(contexts.app.get(Database), consumers, lagMetric(), true);
    const heard: string[] = [];
    consumers.on(Counted, async (event) => {
      await sleep(1);
      heard.push(event.subjectId);
    });
    await rows(
      `insert into outbox (topic, payload) select 'test.counted', jsonb_build_object('subjectId', n::text) from generate_series(1, 450) n`,
    );
    await due();
    const drain = async (one: OutboxRelay) => {
      let taken = 0;
      for (let batch; (batch = await one.relay()).taken > 0;) taken += batch.taken;
      return taken;
    };
    const taken = await Promise.all([drain(relay), drain(other)]);
    expect(taken.reduce((sum, n) => sum + n)).toBe(450);
    for (const share of taken) expect(share).toBeGreaterThan(0);
    expect(heard.sort()).toEqual(Array.from({ length: 450 }, (_, n) => String(n + 1)).sort());
    expect(await waiting()).toEqual([]);
  });

  it('is tried a batch at a time while nobody can be reached, and emptied at once when they can', async () => {
    const another = new OutboxRelay(contexts.app.get(Database), consumers, lagMetric(), true); // that has not ended
    let isAway = true;
    consumers.on(Counted, () => (isAway ? Promise.reject(new Error('away')) : Promise.resolve()));
    await rows(
      `insert into outbox (topic, payload) select $1, jsonb_build_object('learnerId', $2::text, 'subjectId', nr::text)
      from generate_series(1, 250) nr`,
      [Counted.topic, learner.userId],
    );
    await due();
    await another.empty();
    expect((await waiting()).filter(({ attempts }) => attempts > 0)).toHaveLength(100);
    isAway = false;
    await due();
    await another.empty();
    expect(await waiting()).toEqual([]);
  });

  it('a backlog of thousands is delivered a batch at a time, each message once, and what cannot be delivered holds up nothing', async () => {
    const another = new OutboxRelay(contexts.app.get(Database), consumers, lagMetric(), true); // that has not ended
    const isHopeless = (subjectId: string) => Number(subjectId) % 100 === 0;
    const heard: string[] = [];
    let [underWay, most] = [0, 0];
    consumers.on(Counted, async ({ subjectId }) => {
      most = Math.max(most, ++underWay);
      await sleep(20); // one after the other 3,000 would take a minute, and each batch the whole of its lease
      underWay--;
      if (isHopeless(subjectId)) throw new Error('never');
      heard.push(subjectId);
    });
    await rows(
      `insert into outbox (topic, payload) select 'test.counted', jsonb_build_object('subjectId', n::text) from generate_series(1, 3000) n`,
    );
    await rows(`update outbox set available_at = clock_timestamp() - interval '1 minute'`);
    const started = performance.now();
    await another.empty();
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(most).toBe(100);
    const all = Array.from({ length: 3000 }, (_, n) => String(n + 1));
    expect(heard.sort()).toEqual(all.filter((id) => !isHopeless(id)).sort());
    const left = await rows<{ id: string }>(`select payload ->> 'subjectId' as id from outbox`);
    expect(left.map(({ id }) => id).sort()).toEqual(all.filter(isHopeless).sort());
  });

  it('is not blocked by rows that another transaction holds', async () => {
    const heard: string[] = [];
    consumers.on(Counted, async (event) => void heard.push(event.subjectId));
    await rows(
      `insert into outbox (topic, payload) select 'test.counted', jsonb_build_object('subjectId', n::text) from generate_series(1, 3) n`,
    );
    await due();
    await withClient(contexts.database.adminUrl, async (holder) => {
      await holder.query('begin');
      await holder.query(`select from outbox where payload ->> 'subjectId' = '1' for update`);
      expect(await relay.relay()).toMatchObject({ taken: 2 });
    });
    expect(heard.sort()).toEqual(['2', '3']);
  });

  it('hands a message that a dead relay had taken to another after 2 s', async () => {
    const heard: string[] = [];
    let hang = true;
    consumers.on(Counted, (event) => (hang ? new Promise(() => undefined) : Promise.resolve(void heard.push(event.subjectId))));
    await rows(`insert into outbox (topic, payload) values ('test.counted', '{"subjectId": "x"}')`);
    await due();
    const before = await clock();
    void relay.relay(); // it never ends, as if its process had been killed
    while ((await waiting())[0]!.attempts === 0) await sleep(10);
    const [[taken], after] = [await waiting(), await clock()];
    expect(taken!.availableAt).toBeGreaterThanOrEqual(before + 2);
    expect(taken!.availableAt).toBeLessThanOrEqual(after + 2);
    hang = false;
    await due();
    expect(await relay.relay()).toMatchObject({ taken: 1 });
    expect([heard, await waiting()]).toEqual([['x'], []]);
  });

  it('DC-7 tells how old its oldest message is', async () => {
    const running = await TestContexts.start(); // its relay runs
    const lagBecomes = async (isRight: (seconds: number) => boolean) => {
      for (;;) {
        const { values } = await lagMetric().get();
        if (isRight(values[0]!.value)) return;
        await sleep(20);
      }
    };
    try {
      await sql(
        running.database.adminUrl,
        `insert into outbox (topic, payload, created_at, available_at)
         values ('test.hopeless', '{}', now() - interval '90 seconds', now() + interval '1 hour')`,
      );
      await lagBecomes((seconds) => seconds > 89 && seconds < 120);
      await sql(running.database.adminUrl, 'delete from outbox');
      await lagBecomes((seconds) => seconds === 0);
    } finally {
      await running.stop();
    }
  });
});

describe('DC-5 the outbox and Redis', () => {
  it('forgets cached views that could not be forgotten while Redis hung during the commit', async () => {
    let redis = await startRedis();
    const contexts = await TestContexts.start({ REDIS_URL: redis.url });
    try {
      const store = contexts.app.get<KeyValueStore>(CACHE_STORE);
      while (
        !(await store.ping().then(
          () => true,
          () => false,
        ))
      )
        await sleep(20);
      const learner = await contexts.newLearner();
      const chatId = randomUUID();
      await contexts.commands.execute(new StartChat(learner, { id: chatId, title: 'before' }));
      const title = async () =>
        (await contexts.queries.execute(new GetChat(learner, { chatId, after: 0, limit: 50 }))).value.title;
      expect(await title()).toBe('before');
      process.kill(redis.pid, 'SIGSTOP'); // it keeps what it has, and does not answer
      await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'after' }));
      expect(await title()).toBe('after');
      process.kill(redis.pid, 'SIGCONT');
      const deadline = Date.now() + 10_000;
      for (;;) {
        const left = await sql(contexts.database.adminUrl, 'select from outbox');
        if (left.length === 0) break;
        if (Date.now() > deadline) expect(left).toEqual([]);
        await sleep(50);
      }
      expect(await title()).toBe('after');

      await redis.stop('SIGKILL');
      await contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'again' }));
      redis = await redis.restart();
      while ((await sql(contexts.database.adminUrl, 'select from outbox')).length > 0) await sleep(50);
      expect(await title()).toBe('again');
    } finally {
      await contexts.stop();
      await redis.stop();
    }
  });
});
