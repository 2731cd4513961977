import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplication } from '@nestjs/common';
import type { Database, Job, JobRelay } from '@studently/platform';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { startBuiltPlatform, type Platform } from '../../support/built-platform';
import { answer } from './processes';

/** What this process becomes. */
export interface Becoming {
  role: 'worker' | 'producer' | 'bare-worker' | 'bare-producer';
  settings: NodeJS.ProcessEnv;
}

/** For a producer: so many jobs a second, in so many portions a second. */
export interface Producing {
  perSecond: number;
  portions: number;
  seconds: number;
}

export const JOB = 'count-it';
export const BARE_QUEUE = 'bare';
export const AT_ONCE = 50;
const LEARNER = '00000000-0000-4000-8000-000000000001';

/** The end of a job and its effect as one statement: without the row there is nothing to do. */
const EFFECT = `
  with job as (delete from jobs where id = $1 returning created_at)
  insert into effects (job, lag_ms) select $1, extract(epoch from clock_timestamp() - created_at) * 1000 from job`;
const LEAVE = `insert into jobs (job, learner_id, subject_id) select '${JOB}', '${LEARNER}', nr::text from generate_series(1, $1::int) nr`;

type Produce = (count: number) => Promise<void>;
let produce: Produce | undefined;

async function become({ role, settings }: Becoming): Promise<void> {
  if (role === 'worker') await startBuiltPlatform(settings, 'worker', register);
  else if (role === 'producer')
    await startBuiltPlatform(settings, 'api', (app, platform) => (produce = leaving(app, platform)));
  else {
    const connection = new Redis(settings['REDIS_URL']!, { maxRetriesPerRequest: null });
    const options = { connection, prefix: '{bare}' };
    if (role === 'bare-worker') {
      new Worker(BARE_QUEUE, async () => undefined, { ...options, concurrency: AT_ONCE, removeOnComplete: { count: 0 } });
    } else {
      const queue = new Queue(BARE_QUEUE, options);
      produce = async (count) => void (await queue.addBulk(Array.from({ length: count }, () => ({ name: JOB, data: {} }))));
    }
  }
}

/** Every process knows every job, also those that only leave some. */
function register(app: INestApplication, platform: Platform): void {
  const database: Database = app.get(platform.Database);
  const run = async (job: Job) => {
    await database.write(platform.SYSTEM, EFFECT, [job.id]);
    job.isDone = true;
  };
  app.get(platform.Jobs).register(JOB, { run }, AT_ONCE);
}

/** As after a commit: the row is there, and whoever has committed hands it over. */
function leaving(app: INestApplication, platform: Platform): Produce {
  register(app, platform);
  const database: Database = app.get(platform.Database);
  const relay: JobRelay = app.get(platform.JobRelay);
  return async (count) => {
    await database.write(platform.SYSTEM, LEAVE, [count]);
    relay.wake([JOB]);
  };
}

answer<Becoming | Producing, true>(async (question) => {
  if ('role' in question) {
    await become(question);
    return true;
  }
  const { perSecond, portions, seconds } = question;
  const start = performance.now();
  for (let portion = 1; portion <= portions * seconds; portion++) {
    await produce!(Math.round(perSecond / portions));
    await sleep(Math.max(0, start + (portion * 1000) / portions - performance.now()));
  }
  return true;
});
