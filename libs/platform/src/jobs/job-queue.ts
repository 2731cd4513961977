import type { Delivery } from './job';

/** Token in Nest's container. */
export const JOB_QUEUE = Symbol('JOB_QUEUE');

/** So many deliveries of a job wait in a queue at most: the others wait in PostgreSQL, where nothing is lost. */
export const MOST_WAITING = 2000;

/** Carries deliveries to who works on them. It may lose them, or bring them twice: the rows in PostgreSQL are the truth. */
export interface JobQueue {
  /** How many more deliveries of this job it takes now. */
  room(job: string): Promise<number>;

  /** A delivery that is waiting already does not wait twice, unless it travels together with others. */
  add(job: string, deliveries: readonly Delivery[]): Promise<void>;

  /** From now on deliveries of this job are worked on. `work` does not throw. */
  work(job: string, atOnce: number, work: (delivery: Delivery) => Promise<void>): void;

  /** @throws if it cannot be reached */
  ping(): Promise<void>;

  /** Takes no more, and waits for what is under way. @returns what waits and is lost with this process */
  close(): Promise<readonly Delivery[]>;
}
