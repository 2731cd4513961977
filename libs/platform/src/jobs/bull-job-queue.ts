import { Logger } from '@nestjs/common';
import { Queue, Worker } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import type { Delivery } from './job';
import { MOST_WAITING, type JobQueue } from './job-queue';
import type { JobsRedis } from './jobs-redis';

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
  private readonly running = new Set<Promise<void>>();

  constructor(private readonly redis: JobsRedis) {
    this.connection = redis.impatient();
  }

  async room(job: string): Promise<number> {
    return MOST_WAITING - (await this.queue(job).getJobCountByTypes('wait'));
  }

  async add(job: string, deliveries: readonly Delivery[]): Promise<void> {
    await this.queue(job).addBulk(
      deliveries.map(({ id, taken }) => ({ name: job, data: { id, taken }, opts: { jobId: `${id}-${taken}`, ...KEPT } })),
    );
  }

  work(job: string, atOnce: number, work: (delivery: Delivery) => Promise<void>): void {
    const worker = new Worker<Delivery>(job, ({ data }) => this.track(work(data)), {
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
    await Promise.all(this.running);
    await Promise.race([closing, new Promise((resolve) => setTimeout(resolve, CLOSE_MS))]);
    this.redis.close();
    return []; // others take what waits
  }

  private async track(work: Promise<void>): Promise<void> {
    this.running.add(work);
    await work.finally(() => this.running.delete(work));
  }

  /** BullMQ opens a queue once; without a connection it would never be open. */
  private queue(job: string): Queue {
    if (this.connection.status !== 'ready') throw new Error('The Redis of the jobs is away.');
    let queue = this.queues.get(job);
    if (!queue) {
      queue = new Queue(job, {
        connection: this.connection,
        prefix: PREFIX,
        skipVersionCheck: true,
        streams: { events: { maxLen: 100 } },
      });
      queue.on('error', () => this.queues.delete(job));
      this.queues.set(job, queue);
    }
    return queue;
  }
}
