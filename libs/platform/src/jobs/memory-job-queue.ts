import type { Delivery } from './job';
import { MOST_WAITING, type JobQueue } from './job-queue';
import { Line } from './line';

/** Where one process does everything: what has been handed over waits in its memory. */
export class MemoryJobQueue implements JobQueue {
  private readonly lines = new Map<string, Line>();

  async room(job: string): Promise<number> {
    return MOST_WAITING - this.line(job).length;
  }

  async add(job: string, deliveries: readonly Delivery[]): Promise<void> {
    void this.line(job).add(deliveries);
  }

  work(job: string, atOnce: number, work: (delivery: Delivery) => Promise<void>): void {
    this.line(job).start(atOnce, work);
  }

  async ping(): Promise<void> {}

  async close(): Promise<readonly Delivery[]> {
    return (await Promise.all([...this.lines.values()].map((line) => line.close()))).flat();
  }

  private line(job: string): Line {
    let line = this.lines.get(job);
    if (!line) this.lines.set(job, (line = new Line()));
    return line;
  }
}
