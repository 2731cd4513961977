import { setTimeout as sleep } from 'node:timers/promises';
import {
  Database,
  DeadLetters,
  DomainEvent,
  JobRelay,
  Jobs,
  SYSTEM,
  UnitOfWork,
  type Job,
  type Learner,
} from '@studently/platform';
import { getToken } from '@willsoto/nestjs-prometheus';
import type { Histogram } from 'prom-client';
import { DatabaseUnavailable } from '../../libs/platform/src/errors/domain-error';
import { JOB_QUEUE, MOST_WAITING, type JobQueue } from '../../libs/platform/src/jobs/job-queue';
import { JobRunner, JOB_DURATION } from '../../libs/platform/src/jobs/job-runner';
import { MemoryJobQueue } from '../../libs/platform/src/jobs/memory-job-queue';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

class Happened extends DomainEvent {
  static override readonly topic = 'test.happened';
  constructor(
    readonly learnerId: string,
    readonly subjectId: string,
  ) {
    super();
  }
}
class Noted extends DomainEvent {
  static override readonly topic = 'test.noted';
  constructor(
    readonly learnerId: string,
    readonly subjectId: string,
  ) {
    super();
  }
}

const A_JOB = 'note-it';
const ANOTHER = 'note-it-elsewhere';

interface Row {
  id: string;
  job: string;
  subject_id: string;
  attempts: number;
  taken: number;
  dead: boolean;
  failure: string | null;
  seconds: number;
}

describe('RED-6 jobs', () => {
  let contexts: TestContexts;
  let learner: Learner;
  let unitOfWork: UnitOfWork;
  let tried: Job[];
  let doIt: (job: Job) => Promise<unknown>;
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  beforeEach(async () => {
    contexts = await TestContexts.start();
    unitOfWork = contexts.app.get(UnitOfWork);
    learner = await contexts.newLearner();
    tried = [];
    doIt = note;
    const jobs = contexts.app.get(Jobs);
    jobs.register(A_JOB, { run: (job) => attempt(job) });
    jobs.on(Happened, A_JOB);
    // What was registered after the start has to be worked on as well.
    contexts.app.get(JobRunner).onApplicationBootstrap();
  });
  afterEach(() => contexts?.stop());

  async function attempt(job: Job): Promise<void> {
    tried.push(job);
    await doIt(job);
  }
  const note = ({ actor, subjectId }: Job) =>
    unitOfWork.run(actor, async (tx) => tx.record(new Noted(actor.userId, subjectId)));
  const happen = (subject: string) => unitOfWork.run(learner, async (tx) => tx.record(new Happened(learner.userId, subject)));
  const waiting = () =>
    rows<Row>(
      `select id::text as id, job, subject_id, attempts, taken, dead_at is not null as dead, failure,
         extract(epoch from available_at - clock_timestamp())::float8 as seconds from jobs order by id`,
    );
  const noted = async () =>
    (
      await rows<{ subject_id: string }>(`select subject_id from audit_events where action = 'test.noted' order by subject_id`)
    ).map((row) => row.subject_id);
  const hurry = () => rows('update jobs set available_at = clock_timestamp(), failure = null where dead_at is null');

  it('are committed with what has left them behind, done right after it, and end with their effect', async () => {
    await happen('a');
    await until(async () => (await noted()).length === 1);
    expect([await noted(), await waiting(), tried.length]).toEqual([['a'], [], 1]);
    await expect(
      unitOfWork.run(learner, async (tx) => {
        tx.record(new Happened(learner.userId, 'b'));
        throw new Error('no commit');
      }),
    ).rejects.toThrow('no commit');
    expect(await waiting()).toEqual([]);
  });

  it('have each their own attempts and their own end, though one event has left them', async () => {
    const jobs = contexts.app.get(Jobs);
    const elsewhere: string[] = [];
    jobs.register(ANOTHER, { run: async ({ subjectId }) => void elsewhere.push(subjectId) });
    jobs.on(Happened, ANOTHER, ({ subjectId }) => [`${subjectId}1`, `${subjectId}2`]);
    contexts.app.get(JobRunner).onApplicationBootstrap();
    doIt = () => Promise.reject(new TypeError('what nobody may remember'));
    await happen('a');
    await until(async () => elsewhere.length === 2 && (await waiting())[0]?.failure);
    expect(elsewhere.sort()).toEqual(['a1', 'a2']);
    const left = await waiting();
    expect(left).toEqual([expect.objectContaining({ job: A_JOB, attempts: 1, failure: 'TypeError', dead: false })]);
  });

  it('are tried again after 1 to 1.5, 2 to 3, 4 to 6 and 8 to 12 s, and are dead letters after five attempts', async () => {
    doIt = () => Promise.reject(Object.assign(new Error('secret'), { code: 'TOO_BAD' }));
    await happen('a');
    for (let attempt = 1; attempt < 5; attempt++) {
      const [row] = await until(async () => {
        const found = await waiting();
        return found[0]?.attempts === attempt && found[0].failure !== null && found[0].taken === attempt && found;
      });
      const longest = 0.75 * 2 ** attempt;
      expect([row!.seconds > longest / 1.5 - 0.9, row!.seconds <= longest]).toEqual([true, true]);
      await hurry();
    }
    const [dead] = await until(async () => {
      const found = await waiting();
      return found[0]?.dead && found;
    });
    expect(dead).toMatchObject({ attempts: 5, failure: 'TOO_BAD' });
    await hurry();
    await sleep(500);
    expect(tried).toHaveLength(5);
    expect(JSON.stringify(await rows('select * from jobs'))).not.toContain('secret');
  });

  it('that were given up stay until somebody has them tried again, or drops them', async () => {
    doIt = () => Promise.reject(new Error('no'));
    for (const subject of ['a', 'b', 'c']) await happen(subject);
    await until(async () => tried.length === 3);
    await rows(`update jobs set dead_at = now(), failure = 'ERROR'`);
    const target = { url: contexts.database.url, embedded: false };
    const [list, counts] = await DeadLetters.open(target, async (letters) => [await letters.list(10), await letters.counts()]);
    expect(list.map(({ subjectId, learnerId }) => [subjectId, learnerId])).toEqual(
      ['a', 'b', 'c'].map((subject) => [subject, learner.userId]),
    );
    expect(counts).toEqual([{ job: A_JOB, waiting: 0, dead: 3, oldestSeconds: 0 }]);
    const [a, b] = list.map(({ id }) => id);
    doIt = note;
    expect(await DeadLetters.open(target, (letters) => letters.drop([b!, '99999999']))).toEqual([b]);
    expect(await DeadLetters.open(target, (letters) => letters.retry([a!]))).toEqual([a]);
    await until(async () => (await noted()).length === 1);
    expect(await DeadLetters.open(target, (letters) => letters.retry())).toHaveLength(1);
    await until(async () => (await waiting()).length === 0);
    expect(await noted()).toEqual(['a', 'c']);
  });

  it('whose process has died each time are given up without another attempt', async () => {
    await contexts.app.get(JobRelay).onModuleDestroy();
    await happen('deadly');
    await rows('update jobs set attempts = 5');
    const runner = privately(contexts.app.get(JobRunner));
    const [row] = await waiting();
    await runner.work(A_JOB, { id: row!.id, taken: 0 });
    expect(tried).toEqual([]);
    expect(await waiting()).toEqual([expect.objectContaining({ dead: true, failure: 'ABANDONED', attempts: 6 })]);
  });

  it('have their effect once, delivered however often and done by however many at the same time', async () => {
    await contexts.app.get(JobRelay).onModuleDestroy();
    await happen('a');
    const [row] = await waiting();
    const runner = privately(contexts.app.get(JobRunner));
    const both = Promise.withResolvers<void>();
    doIt = async (job) => {
      if (tried.length === 2) both.resolve();
      await both.promise; // as one that is stalled until another has taken over
      await note(job);
    };
    const first = runner.work(A_JOB, { id: row!.id, taken: 0 });
    await until(async () => tried.length === 1);
    await Promise.all([1, 2, 3].map(() => runner.work(A_JOB, { id: row!.id, taken: 0 }))); // deliveries of what is taken
    expect(tried).toHaveLength(1);
    await Promise.all([first, runner.work(A_JOB, { id: row!.id, taken: 1 })]);
    expect([tried.length, await noted(), await waiting()]).toEqual([2, ['a'], []]);
    expect(tried.filter(({ isDone }) => isDone)).toHaveLength(1);
    await runner.work(A_JOB, { id: row!.id, taken: 2 });
    expect(tried).toHaveLength(2);
  });

  it('keep their lease as long as they are worked on, and come back when it has ended', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    doIt = async (job) => {
      await promise;
      await note(job);
    };
    await happen('long');
    await until(async () => tried.length === 1);
    const before = (await waiting())[0]!.seconds;
    expect(before).toBeLessThanOrEqual(11);
    await sleep(4500);
    expect((await waiting())[0]!.seconds).toBeGreaterThan(7); // without a renewal: 6.5 at most
    await rows('update jobs set taken = taken + 1'); // somebody else has it now
    await hurry();
    await until(async () => tried.length === 2);
    resolve();
    await until(async () => (await waiting()).length === 0);
    expect(await noted()).toEqual(['long']);
  }, 20_000);

  it('that could not be done for an outage of the database have not failed', async () => {
    doIt = () => Promise.reject(new DatabaseUnavailable('DATABASE_UNAVAILABLE', undefined));
    await happen('a');
    const [row] = await until(async () => {
      const found = await waiting();
      return found[0]?.taken === 1 && found[0].attempts === 0 && found;
    });
    expect(row!.seconds).toBeGreaterThan(0);
    doIt = note;
    await until(async () => (await noted()).length === 1);
  });

  it('are given back by a process that ends, unless they end before it', async () => {
    const [short, long] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    doIt = async (job) => {
      if (job.subjectId === 'short') return short.promise.then(() => note(job));
      job.ending.addEventListener('abort', () => long.reject(new Error('it takes too long')));
      await long.promise;
    };
    await happen('short');
    await happen('long');
    await until(async () => tried.length === 2);
    contexts.app.get(JobRunner).onModuleDestroy();
    const ended = contexts.app.get(JobRelay).onModuleDestroy();
    setTimeout(short.resolve, 100);
    await ended;
    expect(await noted()).toEqual(['short']);
    const left = await waiting();
    expect(left).toEqual([expect.objectContaining({ subject_id: 'long', attempts: 0, taken: 1 })]);
    expect(left[0]!.seconds).toBeLessThan(0.5);
  });

  it('that no queue takes are handed over when there is one again', async () => {
    const queue = contexts.app.get<JobQueue>(JOB_QUEUE);
    const add = jest.spyOn(queue, 'add').mockRejectedValue(new Error('away'));
    await happen('a');
    await until(async () => add.mock.calls.length >= 2);
    expect([tried.length, (await waiting())[0]!.attempts]).toEqual([0, 0]);
    add.mockRestore();
    await until(async () => (await noted()).length === 1, 3000);
  });

  it('are each taken once from two relays at once', async () => {
    await contexts.app.get(JobRelay).onModuleDestroy();
    await rows(`insert into jobs (job, learner_id, subject_id) select $1, $2::uuid, n::text from generate_series(1, 700) n`, [
      A_JOB,
      learner.userId,
    ]);
    const jobs = contexts.app.get(Jobs);
    const database = contexts.app.get(Database);
    const duration = contexts.app.get<Histogram<'job' | 'outcome'>>(getToken(JOB_DURATION));
    const processes = [1, 2].map(() => {
      const queue = new MemoryJobQueue();
      return { runner: new JobRunner(database, jobs, queue, duration, true), relay: new JobRelay(database, jobs, queue, true) };
    });
    doIt = ({ id }) => database.write(SYSTEM, 'delete from jobs where id = $1', [id]);
    for (const { runner, relay } of processes) {
      runner.onApplicationBootstrap();
      relay.onApplicationBootstrap();
    }
    await until(async () => (await waiting()).length === 0);
    expect(new Set(tried.map(({ subjectId }) => subjectId)).size).toBe(700);
    expect(tried).toHaveLength(700);
    for (const { runner, relay } of processes) {
      runner.onModuleDestroy();
      runner.onApplicationShutdown();
      await relay.onModuleDestroy();
    }
  });

  it('that wait in a process are due again at its end, but for what somebody has taken since they were handed over', async () => {
    await contexts.app.get(JobRelay).onModuleDestroy();
    await rows(`insert into jobs (job, learner_id, subject_id) select $1, $2::uuid, n::text from generate_series(1, 3) n`, [
      A_JOB,
      learner.userId,
    ]);
    const queue = new MemoryJobQueue();
    const relay = new JobRelay(contexts.app.get(Database), contexts.app.get(Jobs), queue, false);
    relay.wake([A_JOB]);
    await until(async () => (await queue.room(A_JOB)) === MOST_WAITING - 3);
    await rows(`update jobs set taken = taken + 1 where subject_id = '2'`);
    await relay.onModuleDestroy();
    const due = await rows<{ subject_id: string }>(
      'select subject_id from jobs where available_at <= clock_timestamp() order by subject_id',
    );
    expect(due.map(({ subject_id: subject }) => subject)).toEqual(['1', '3']);
  });

  it('SEC-2 are seen and ended by their learner alone, and hold ids only', async () => {
    await contexts.app.get(JobRelay).onModuleDestroy();
    await happen('a');
    const as = (userId?: string) => ({ role: 'studently_app', ...(userId && { userId }) });
    const other = await contexts.newLearner();
    for (const actor of [as(), as(other.userId)]) {
      expect(await sql(contexts.database.url, 'select id from jobs', [], actor)).toEqual([]);
      expect(await sql(contexts.database.url, 'delete from jobs returning id', [], actor)).toEqual([]);
    }
    expect(await sql(contexts.database.url, 'delete from jobs returning id', [], as(learner.userId))).toHaveLength(1);
  });
});

/** What the queue calls. */
const privately = (runner: JobRunner) =>
  runner as unknown as { work(job: string, delivery: { id: string; taken: number }): Promise<void> };
