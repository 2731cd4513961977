import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { createClient } from 'redis4';
import { Helper } from '../bench/harness/processes';
import { DATABASE, startServers } from '../support/platform';
import { withClient, type RedisServer } from '../support/servers';
import type { TortureContext } from './harness/torture';
import { DEADLY, EFFECT, POISON, type Working } from './jobs/worker';

export const promise =
  'each job has its effect exactly once, however often workers are killed, stopped for longer than their lease, or Redis forgets; only poison is given up';
export const ops = 10_000;
export const shortOps = 200;

const WORKERS = 3;
const JOBS_PER_KILL = 200;
const LONGEST_MS = 60;
/** Longer than a lease and than BullMQ's lock on a job that nobody renews. */
const STALL_MS = 12_000;
const POISON_EVERY = 100;
const LEARNERS = 20;
/** After the last accident everything has to be done by then. */
const PATIENCE_MS = 150_000;

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const { postgres, redis, settings } = await startServers(context);
  return withClient(postgres.url(DATABASE), async (admin) => {
    await admin.query(`create table effects (subject_id text not null, process integer not null);
      grant insert on effects to studently_app`);
    const attack = new Attack(context, admin, redis, settings);
    await attack.run();
    return attack.judge();
  });
}

class Attack {
  private readonly workers: Helper[] = [];
  private readonly stalls: Promise<void>[] = [];
  private readonly learners = Array.from({ length: LEARNERS }, () => randomUUID());
  private readonly subjects: string[] = [];
  private readonly figures = { kills: 0, stalls: 0, flushes: 0, redisKills: 0 };

  constructor(
    private readonly context: TortureContext,
    private readonly admin: Client,
    private redis: RedisServer,
    private readonly settings: NodeJS.ProcessEnv,
  ) {}

  async run(): Promise<void> {
    const { ops: count } = this.context;
    const rounds = Math.max(2, Math.round(count / JOBS_PER_KILL));
    await Promise.all(Array.from({ length: WORKERS }, () => this.startWorker()));
    for (let round = 1; round <= rounds; round++) {
      await this.leaveJobs(Math.floor((count * round) / rounds));
      await sleep(this.context.below(300));
      if (round % 8 === 1) this.stall();
      if (round % 5 === 1) await this.flush();
      await this.kill();
      if (round % 10 === 2) await this.killRedis();
      this.context.progress(`round ${round} of ${rounds}`);
    }
    await Promise.all(this.stalls);
    await this.untilDone();
    await sleep(1000); // whoever was stalled has gone on by now
  }

  /** Exactly one effect of each good one, none of the others, and those alone are dead. */
  async judge(): Promise<Record<string, number>> {
    const { rows } = await this.admin.query<{ subject: string; times: number }>(
      'select subject_id as subject, count(*)::int as times from effects group by 1',
    );
    const times = new Map(rows.map((row) => [row.subject, row.times]));
    const { rows: left } = await this.admin.query<{ subject: string; dead: boolean; failure: string }>(
      'select subject_id as subject, dead_at is not null as dead, failure from jobs where job = $1',
      [EFFECT],
    );
    const remains = new Map(left.map((row) => [row.subject, row]));
    for (const subject of this.subjects) {
      const expected = isBad(subject) ? [0, true] : [1, false];
      const found = [times.get(subject) ?? 0, remains.get(subject)?.dead ?? false];
      const isGone = isBad(subject) || !remains.has(subject);
      this.context.attempt(
        String(found) === String(expected) && isGone,
        () =>
          `${subject} has had ${found[0]} effects and ${found[1] ? 'is' : 'is not'} dead (${remains.get(subject)?.failure})`,
      );
    }
    return { jobs: this.subjects.length, ...this.figures, dead: left.length };
  }

  private async startWorker(): Promise<void> {
    const worker = await this.context.use(
      () => Helper.start(join(__dirname, 'jobs/worker.ts')),
      (helper) => helper.stop('SIGKILL'),
    );
    this.workers.push(worker);
    // It may be killed before it is there.
    await worker.ask<true>({ settings: this.settings, longestMs: LONGEST_MS } satisfies Working).catch(() => undefined);
  }

  /** As a committed command does. Some cannot be done; in a long attack a few take their process with them. */
  private async leaveJobs(until: number): Promise<void> {
    const fresh: string[] = [];
    while (this.subjects.length + fresh.length < until) {
      const number = this.subjects.length + fresh.length + 1;
      const kind = number % (ops / 2) === ops / 4 ? DEADLY : number % POISON_EVERY === 0 ? POISON : 'good';
      fresh.push(`${kind}-${number}`);
    }
    await this.admin.query(
      `insert into jobs (job, learner_id, subject_id)
       select $1, ($3::uuid[])[1 + nr % ${LEARNERS}], subject from unnest($2::text[]) with ordinality given (subject, nr)`,
      [EFFECT, fresh, this.learners],
    );
    this.subjects.push(...fresh);
  }

  private async kill(): Promise<void> {
    await this.takeOne().stop('SIGKILL');
    this.figures.kills += 1;
    await this.replaceDead();
  }

  /** In the middle of what it does; it goes on when others have long taken over, and must change nothing. */
  private stall(): void {
    const stalled = this.takeOne();
    process.kill(stalled.pid, 'SIGSTOP');
    this.figures.stalls += 1;
    this.stalls.push(
      sleep(STALL_MS).then(() => {
        process.kill(stalled.pid, 'SIGCONT');
        this.workers.push(stalled);
      }),
    );
  }

  /** One that runs is not among those that do any more. */
  private takeOne(): Helper {
    const worker = this.context.pick(this.workers.filter((each) => !each.hasEnded));
    this.workers.splice(this.workers.indexOf(worker), 1);
    return worker;
  }

  /** Also those that a job has taken with it. */
  private async replaceDead(): Promise<void> {
    for (const dead of this.workers.filter((each) => each.hasEnded)) this.workers.splice(this.workers.indexOf(dead), 1);
    while (this.workers.length < WORKERS) await this.startWorker();
  }

  private async flush(): Promise<void> {
    const client = await createClient({ url: this.redis.url }).connect();
    await client.flushAll();
    await client.disconnect();
    this.figures.flushes += 1;
  }

  private async killRedis(): Promise<void> {
    await this.redis.stop('SIGKILL');
    this.figures.redisKills += 1;
    await sleep(this.context.below(500));
    this.redis = await this.context.use(
      () => this.redis.restart(),
      (server) => server.stop(),
    );
  }

  /** Time runs faster for what has failed: nobody waits for its next attempt. Deadly ones still need somebody to die. */
  private async untilDone(): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(300)) {
      const { rows } = await this.admin.query<{ left: number }>('select count(*)::int as left from jobs where dead_at is null');
      if (rows[0]!.left === 0) return;
      await this.admin.query('update jobs set available_at = clock_timestamp() where failure is not null and dead_at is null');
      await this.replaceDead();
    }
  }
}

const isBad = (subject: string) => subject.startsWith(POISON) || subject.startsWith(DEADLY);
