import { Logger } from '@nestjs/common';
import { Queue, Worker } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import type { Delivery } from './job';
import { MOST_WAITING, type JobQueue } from './job-queue';
import type { JobsRedis } from './jobs-redis';
import { Line } from './line';

/** A hash tag: all keys of BullMQ are on one node of a cluster, as its scripts need it. */
const PREFIX = '{jobs}';

/** Nothing is kept of what has ended, whatever its end: PostgreSQL knows. */
const KEPT = { removeOnComplete: { count: 0 }, removeOnFail: { count: 0 } };

/** An end of the process waits no longer for a Redis that does not answer. */
const CLOSE_MS = 2000;

/** Jobs travel through BullMQ, a queue for each kind, so that long ones hold up no others. */
export class BullJobQueue implements JobQueue {
  private readonly logger = new Logger(BullJobQueue.name);
  private readonly connection: Redis | Cluster;
  private readonly queues = new Map<string, Queue>();
  private readonly workers: Worker[] = [];
  private readonly lines: Line[] = [];

  /** @param togetherOf how many deliveries of a job travel as one: what BullMQ costs, it costs by the job of its own */
  constructor(
    private readonly redis: JobsRedis,
    private readonly togetherOf: (job: string) => number,
  ) {
    this.connection = redis.impatient();
  }

  async room(job: string): Promise<number> {
    return MOST_WAITING - this.togetherOf(job) * (await this.queue(job).getJobCountByTypes('wait'));
  }

  async add(job: string, deliveries: readonly Delivery[]): Promise<void> {
    const together = this.togetherOf(job);
    const parcels: Delivery[][] = [];
    for (let from = 0; from < deliveries.length; from += together) parcels.push(deliveries.slice(from, from + together));
    await this.queue(job).addBulk(
      parcels.map((parcel) => ({
        name: job,
        data: parcel,
        opts: { ...KEPT, ...(together === 1 && { jobId: `${parcel[0]!.id}-${parcel[0]!.taken}` }) },
      })),
    );
  }

  work(job: string, atOnce: number, work: (delivery: Delivery) => Promise<void>): void {
    const line = new Line().start(atOnce, work);
    this.lines.push(line);
    const worker = new Worker<Delivery[]>(job, ({ data }) => line.add(data), {
      connection: this.redis.patient(),
      prefix: PREFIX,
      concurrency: atOnce,
      skipVersionCheck: true, // it would print what jobs-redis.ts says in the log
      ...KEPT,
    });
    worker.on('error', (error) => this.logger.debug(`${job} waits for Redis: ${error.name}`));
    this.workers.push(worker);
  }

  async ping(): Promise<void> {
    await this.connection.ping();
  }

  async close(): Promise<readonly Delivery[]> {
    const closing = Promise.allSettled(this.workers.map((worker) => worker.close()));
    const left = await Promise.all(this.lines.map((line) => line.close()));
    await Promise.race([closing, new Promise((resolve) => setTimeout(resolve, CLOSE_MS))]);
    this.redis.close();
    return left.flat(); // what is still in Redis, others take
  }

  /** BullMQ opens a queue once; without a connection it would never be open. */
  private queue(job: string): Queue {
    if (this.connection.status !== 'ready') throw new Error('The Redis of the jobs is away.');
    const known = this.queues.get(job);
    if (known) return known;
    const queue = new Queue(job, {
      connection: this.connection,
      prefix: PREFIX,
      skipVersionCheck: true,
      streams: { events: { maxLen: 100 } },
    });
    queue.on('error', () => {
      if (this.queues.get(job) === queue) this.queues.delete(job);
      queue.close().catch(() => undefined); // else its listeners would stay on the connection, with each outage some more
    });
    this.queues.set(job, queue);
    return queue;
  }
}
