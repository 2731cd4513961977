import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Histogram } from 'prom-client';
import { DatabaseUnavailable, DependencyAway } from '../errors/domain-error';
import { Database } from '../persistence/database';
import { Gathered } from '../gathered';
import { WORKS } from '../process-kind';
import { askingFor } from '../statements/statement-watch';
import { SYSTEM } from '../security/actor';
import {
  Abandoned,
  columnsOf,
  failureOf,
  FINISH,
  Job,
  JobGone,
  MAX_ATTEMPTS,
  type Delivery,
  type JobHandler,
  type JobRow,
} from './job';
import { JOB_QUEUE, type JobQueue } from './job-queue';
import { LEASE_SECONDS, RELAXED } from './job-relay';
import { Jobs } from './jobs';

export const JOB_DURATION = 'studently_job_duration_seconds';

const RENEW_MS = (LEASE_SECONDS * 1000) / 3;
/** The more often, the more by chance: what died together with one that kills its process does not come back together with it. */
const LEASE = `(${LEASE_SECONDS} + random() * 2 ^ attempts) * interval '1 second'`;

/** Of equal deliveries the first takes it. A row that is locked just ends, or is just taken. */
const TAKE = `
  update jobs set attempts = attempts + 1, taken = jobs.taken + 1, available_at = clock_timestamp() + ${LEASE}
  where id in (
    select id from unnest($1::bigint[], $2::int[]) given (id, taken) join jobs using (id, taken)
    where dead_at is null order by id for update of jobs skip locked)
  returning id::text as id, taken - 1 as taken, learner_id as "learnerId", subject_id as "subjectId", attempts`;
const RENEW = `
  update jobs set available_at = clock_timestamp() + ${LEASE}
  where id in (
    select id from unnest($1::bigint[], $2::int[]) held (id, taken) join jobs using (id, taken) for update of jobs skip locked)`;
/** Somebody else may have it by now, or have done it. */
const OURS = 'where id = $1 and taken = $2 and dead_at is null';
/** Half of the wait is chance, so that what failed together does not come back together. */
const LATER = `
  update jobs set failure = $3, available_at = clock_timestamp() + 0.5 * 2 ^ attempts * (1 + random() / 2) * interval '1 second' ${OURS}`;
const HAND_BACK = `
  update jobs set attempts = attempts - 1, available_at = clock_timestamp() + $3 * (1 + random()) * interval '1 second' ${OURS}`;
const BURY = `update jobs set failure = $3, dead_at = clock_timestamp() ${OURS}`;

type Outcome = 'done' | 'failed' | 'dead' | 'gone' | 'handed-back';

/** Works on what was handed over: takes the row, has it done, and says on the row how it went. */
@Injectable()
export class JobRunner implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  private readonly logger = new Logger(JobRunner.name);
  private readonly ending = new AbortController();
  /** What this process works on: ids and how often they had been taken then. */
  private readonly held = new Map<string, number>();
  private readonly taking = new Gathered((deliveries: Delivery[]) => this.take(deliveries));
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly database: Database,
    private readonly jobs: Jobs,
    @Inject(JOB_QUEUE) private readonly queue: JobQueue,
    @InjectMetric(JOB_DURATION) private readonly duration: Histogram<'job' | 'outcome'>,
    @Inject(WORKS) private readonly works: boolean,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.works) return;
    for (const name of this.jobs.names) {
      this.queue.work(name, this.jobs.of(name).atOnce, (delivery) => this.work(name, delivery));
    }
    this.timer ??= setInterval(() => void this.renew(), RENEW_MS);
  }

  /** The relay, which ends afterwards, waits for what is under way. */
  onModuleDestroy(): void {
    this.ending.abort();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  private async work(name: string, delivery: Delivery): Promise<void> {
    const end = this.duration.startTimer({ job: name });
    try {
      const row = await this.taking.one(delivery);
      end({ outcome: row ? await this.hold(name, row) : 'gone' });
    } catch (error) {
      // The database is away: when the lease has ended, it is handed over again.
      this.logger.debug(`${name} waits: ${failureOf(error)}`);
    }
  }

  /** Each of them once, also where it is asked for twice; undefined: it has gone, or is another's. */
  private async take(deliveries: Delivery[]): Promise<(JobRow | undefined)[]> {
    const rows = await this.database.write<JobRow>(SYSTEM, TAKE, columnsOf(deliveries), RELAXED);
    const byDelivery = new Map(rows.map((row) => [keyOf(row), row]));
    return deliveries.map((delivery) => {
      const row = byDelivery.get(keyOf(delivery));
      byDelivery.delete(keyOf(delivery));
      return row;
    });
  }

  private async hold(name: string, row: JobRow): Promise<Outcome> {
    const taken = row.taken + 1;
    this.held.set(row.id, taken);
    try {
      return await askingFor(`${name}:${row.id}`, () => this.attempt(name, new Job(row, this.ending.signal), taken));
    } finally {
      if (this.held.get(row.id) === taken) this.held.delete(row.id);
    }
  }

  private async attempt(name: string, job: Job, taken: number): Promise<Outcome> {
    const { handler } = this.jobs.of(name);
    try {
      // A process that died of it did not say so.
      if (job.attempt > MAX_ATTEMPTS) await this.giveUp(handler, job, new Abandoned());
      else await handler.run(job).catch((error: unknown) => this.giveUp(handler, job, error));
    } catch (error) {
      return this.failed(name, job, taken, error);
    }
    return this.done(job);
  }

  private async done(job: Job): Promise<Outcome> {
    if (!job.isDone) await this.database.write(SYSTEM, FINISH, [job.id]);
    return 'done';
  }

  /** Somebody may want to say so. @throws the error, if it does not end the job */
  private async giveUp(handler: JobHandler, job: Job, error: unknown): Promise<void> {
    const isTime = job.attempt >= MAX_ATTEMPTS && !isOutage(error) && !this.ending.signal.aborted;
    // One attempt more than enough: somebody dies of giving it up.
    if (!handler.giveUp || !isTime || job.attempt > MAX_ATTEMPTS + 1 || error instanceof JobGone) throw error;
    await handler.giveUp(job, error);
  }

  private async failed(name: string, job: Job, taken: number, error: unknown): Promise<Outcome> {
    const write = (sql: string, value: string | number) => this.database.write(SYSTEM, sql, [job.id, taken, value]);
    const failure = failureOf(error);
    if (error instanceof JobGone) return 'gone';
    if (isOutage(error) || this.ending.signal.aborted) {
      await write(HAND_BACK, this.ending.signal.aborted ? 0 : 1);
      return 'handed-back';
    }
    this.logger.warn(`${name} ${job.id} has failed (attempt ${job.attempt}): ${failure}`);
    if (job.attempt < MAX_ATTEMPTS) {
      await write(LATER, failure);
      return 'failed';
    }
    await write(BURY, failure);
    return 'dead';
  }

  private async renew(): Promise<void> {
    if (this.held.size === 0) return;
    const held = [...this.held].map(([id, taken]) => ({ id, taken }));
    await this.database.write(SYSTEM, RENEW, columnsOf(held), RELAXED).catch(() => undefined); // the next time may do
  }
}

/** Nobody's fault but that of what is away. A statement that takes too long may do so each time. */
const isOutage = (error: unknown) =>
  error instanceof DependencyAway || (error instanceof DatabaseUnavailable && error.code !== 'DATABASE_TIMEOUT');

const keyOf = ({ id, taken }: Delivery) => `${id}-${taken}`;
