import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { createClient, type RedisClientType } from 'redis4';
import { DATABASE, startServers, type Platform } from '../support/platform';
import { withClient } from '../support/servers';
import type { BenchContext } from './harness/context';
import { interleave, type Figures } from './harness/interleave';
import { BARE_QUEUE, type Becoming, type Producing } from './harness/job-processes';
import { cpuMicros, Helper } from './harness/processes';
import { number } from './harness/table';
import { atMost, type Check, type Measured } from './harness/workload';
import { assertDurable } from './harness/writes';

/** A line that is never empty while it is counted. */
const BACKLOG = 4000;
/** As fast as they can be left: what is counted must not be how fast the line is fed. */
const REFILL: Producing = { perSecond: 20 * BACKLOG, portions: 20, seconds: 1 / 20 };
/** Counting costs as well: not more often than the line needs. */
const LOOK_MS = 200;
/** Steady arrivals, for the time from the commit to the effect. */
const STEADY = 1000;
const GOAL_PER_SECOND = 3000;
const GOAL_LAG_MS = 250;

export const name = 'jobs';
export const goal = `outbox to effect ≥ ${GOAL_PER_SECOND}/s by one worker, each effect once; p99 lag ≤ ${GOAL_LAG_MS} ms at ${STEADY}/s`;

/** Rows of work that were committed, each with its effect in PostgreSQL, against a BullMQ worker that does nothing. */
export async function run(context: BenchContext): Promise<Measured> {
  const servers = await startServers(context);
  await assertDurable(servers);
  return withClient(servers.postgres.url(DATABASE), async (admin) => {
    await admin.query(
      `create table effects (job bigint not null, lag_ms float8 not null); grant insert on effects to studently_worker`,
    );
    const redis = await context.use(
      async () => (await createClient({ url: servers.redis.url }).connect()) as RedisClientType,
      (client) => client.disconnect(),
    );
    const { platform, limit } = await interleave(context, {
      platform: (seconds) => throughput(context, servers, admin, seconds),
      limit: (seconds) => bareThroughput(context, servers, redis, seconds),
    });
    const steady = await interleave(context, { lag: (seconds) => lag(context, servers, admin, seconds) });
    const twice = await admin.query<{ count: number }>('select count(*)::int - count(distinct job)::int as count from effects');
    return {
      checks: [
        throughputOf(platform.perSecond!, limit.perSecond!),
        atMost('p99 lag', steady.lag.p99!, 'ms', GOAL_LAG_MS),
        atMost('effects twice', twice.rows[0]!.count, 'effects', 0),
      ],
      cpuMicros: platform.cpuMicros,
      details: { limitCpuMicros: limit.cpuMicros!, lagP50: steady.lag.p50!, lagP99: steady.lag.p99! },
      notes: [
        `The worker takes ${number(platform.cpuMicros!)} µs CPU a job, a BullMQ worker that does nothing ${number(limit.cpuMicros!)}`,
        `at ${STEADY} jobs a second the effect is there ${number(steady.lag.p50!)} ms (p50) and ${number(steady.lag.p99!)} ms (p99) after the commit`,
      ],
    };
  });
}

/** The goal is absolute; the limit is told for comparison. */
function throughputOf(value: number, limit: number): Check {
  const goal = `≥ ${GOAL_PER_SECOND} jobs/s`;
  return { name: 'throughput', value, limit, unit: 'jobs/s', ratio: value / limit, goal, met: value >= GOAL_PER_SECOND };
}

async function start(context: BenchContext, role: Becoming['role'], { settings }: Platform): Promise<Helper> {
  const helper = await context.use(
    () => Helper.start(join(__dirname, 'harness/job-processes.ts')),
    (each) => each.stop(),
  );
  await helper.ask<true>({ role, settings } satisfies Becoming);
  return helper;
}

/** @param counted how many have been done so far */
async function measure(
  worker: Helper,
  seconds: number,
  refill: () => Promise<void>,
  counted: () => Promise<number>,
): Promise<Figures> {
  await refill();
  await sleep(1000); // connections are open, and the line is long
  const [before, cpu, start] = [await counted(), cpuMicros(worker.pid), performance.now()];
  while (performance.now() - start < seconds * 1000) {
    await refill();
    await sleep(LOOK_MS);
  }
  const took = (performance.now() - start) / 1000;
  const done = (await counted()) - before;
  return { perSecond: done / took, cpuMicros: (cpuMicros(worker.pid) - cpu) / done };
}

async function throughput(context: BenchContext, servers: Platform, admin: Client, seconds: number): Promise<Figures> {
  const [worker, producer] = [await start(context, 'worker', servers), await start(context, 'producer', servers)];
  const count = async (sql: string) => Number((await admin.query<{ count: string }>(sql)).rows[0]!.count);
  const left = () => count('select count(*) from jobs');
  const refill = async () => {
    if ((await left()) < BACKLOG) await producer.ask<true>(REFILL);
  };
  const measured = () => measure(worker, seconds, refill, () => count('select count(*) from effects'));
  const figures = await context.profiled(worker.pid, measured, 'worker');
  while ((await left()) > 0) await sleep(50);
  await Promise.all([worker.stop(), producer.stop()]);
  return figures;
}

async function bareThroughput(
  context: BenchContext,
  servers: Platform,
  redis: RedisClientType,
  seconds: number,
): Promise<Figures> {
  const [worker, producer] = [await start(context, 'bare-worker', servers), await start(context, 'bare-producer', servers)];
  const left = () => redis.lLen(`{bare}:${BARE_QUEUE}:wait`);
  let added = 0;
  const refill = async () => {
    if ((await left()) >= BACKLOG) return;
    await producer.ask<true>(REFILL);
    added += BACKLOG;
  };
  const figures = await measure(worker, seconds, refill, async () => added - (await left()));
  while ((await left()) > 0) await sleep(50);
  await Promise.all([worker.stop(), producer.stop()]);
  return figures;
}

async function lag(context: BenchContext, servers: Platform, admin: Client, seconds: number): Promise<Figures> {
  const [worker, producer] = [await start(context, 'worker', servers), await start(context, 'producer', servers)];
  const produce = (duration: number) =>
    producer.ask<true>({ perSecond: STEADY, portions: 100, seconds: duration } satisfies Producing);
  await produce(1);
  await admin.query('create temporary table seen as select job from effects; create index on seen (job)');
  await produce(seconds);
  while (Number((await admin.query('select count(*) from jobs')).rows[0].count) > 0) await sleep(50);
  const { rows } = await admin.query<{ p50: number; p99: number }>(
    `select percentile_cont(0.5) within group (order by lag_ms) as p50, percentile_cont(0.99) within group (order by lag_ms) as p99
     from effects e where not exists (select from seen s where s.job = e.job)`,
  );
  await admin.query('drop table seen');
  await Promise.all([worker.stop(), producer.stop()]);
  return { ...rows[0]! };
}
