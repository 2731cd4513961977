import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { WORKS } from '../process-kind';
import { Database } from '../persistence/database';
import { SYSTEM } from '../security/actor';
import { columnsOf, type Delivery } from './job';
import { JOB_QUEUE, type JobQueue } from './job-queue';
import { Jobs } from './jobs';

const POLL_MS = 200;
/** A queue with less room than this is long enough: a few at a time would cost as much as many. */
const BATCH = 500;

/**
 * Whoever hands over has the row for so long; who works on it renews that. Afterwards anybody may hand it over again, so a
 * lost queue, a lost process or a stall only delays.
 */
export const LEASE_SECONDS = 10;

/** A crash of the database that forgets this only has the rows handed over once more. */
export const RELAXED = 'set local synchronous_commit = off';

/** Kinds of jobs that have some which may be handed over now. */
const DUE = `
  select kind as job from unnest($1::text[]) kind
  where exists (select from jobs where job = kind and dead_at is null and available_at <= clock_timestamp())`;
const HAND_OVER = `
  update jobs set available_at = clock_timestamp() + interval '${LEASE_SECONDS} seconds'
  where id in (
    select id from jobs where job = $1 and dead_at is null and available_at <= clock_timestamp()
    order by id limit ${BATCH} for update skip locked)
  returning id::text as id, taken`;
/** The queue did not take them, or gives them back; what somebody has taken since then is not ours. */
const TAKE_BACK = `
  update jobs set available_at = clock_timestamp() + $3 * (0.5 + random() / 2) * interval '1 second'
  where id in (
    select id from unnest($1::bigint[], $2::int[]) given (id, taken) join jobs using (id, taken) for update of jobs skip locked)`;

/**
 * Hands over what may be done now: at once what its own process has committed, and in a worker also what others have left.
 * Any number of relays may run at the same time.
 */
@Injectable()
export class JobRelay implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(JobRelay.name);
  private readonly underWay = new Map<string, Promise<void>>();
  private readonly wanted = new Set<string>();
  private timer?: NodeJS.Timeout;
  private looking?: Promise<void>;
  private stopped = false;

  constructor(
    private readonly database: Database,
    private readonly jobs: Jobs,
    @Inject(JOB_QUEUE) private readonly queue: JobQueue,
    @Inject(WORKS) private readonly works: boolean,
  ) {}

  onApplicationBootstrap(): void {
    if (this.works) this.lookLater();
  }

  /** Hands over no more. What the queue still holds for this process alone may be handed over again at once. */
  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.looking;
    await Promise.all(this.underWay.values());
    const left = await this.queue.close();
    if (left.length > 0) await this.takeBack(left, 0).catch(() => undefined); // the lease ends by itself
  }

  /** Hands over these kinds of jobs, without anybody waiting for it. */
  wake(jobs: readonly string[]): void {
    if (this.stopped) return;
    for (const job of new Set(jobs)) {
      if (this.underWay.has(job)) this.wanted.add(job);
      else this.underWay.set(job, this.handOverAll(job));
    }
  }

  private lookLater(): void {
    this.timer = setTimeout(() => {
      this.looking = this.look().finally(() => this.stopped || this.lookLater());
    }, POLL_MS);
  }

  private async look(): Promise<void> {
    const due = await this.database.read<{ job: string }>(SYSTEM, DUE, [this.jobs.names]).catch(() => []);
    this.wake(due.map(({ job }) => job));
  }

  private async handOverAll(job: string): Promise<void> {
    try {
      do {
        this.wanted.delete(job);
        while (!this.stopped && (await this.handOver(job)));
      } while (!this.stopped && this.wanted.has(job));
    } catch (error) {
      // The database or the queue is away; readiness says so, and the rows wait.
      this.logger.debug(`${job} is handed over later: ${error instanceof Error ? error.name : 'failure'}`);
    } finally {
      this.underWay.delete(job);
    }
  }

  /** @returns whether there may be more */
  private async handOver(job: string): Promise<boolean> {
    if ((await this.queue.room(job)) < BATCH) return false;
    const rows = await this.database.write<Delivery & object>(SYSTEM, HAND_OVER, [job], RELAXED);
    if (rows.length === 0) return false;
    try {
      await this.queue.add(job, rows);
    } catch (error) {
      await this.takeBack(rows, 1);
      throw error;
    }
    return rows.length === BATCH;
  }

  private async takeBack(deliveries: readonly Delivery[], afterSeconds: number): Promise<void> {
    await this.database.write(SYSTEM, TAKE_BACK, [...columnsOf(deliveries), afterSeconds], RELAXED);
  }
}
