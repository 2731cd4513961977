import type { Delivery } from './job';
import { MOST_WAITING, type JobQueue } from './job-queue';

class Line {
  readonly waiting = new Map<string, Delivery>();
  readonly running = new Set<Promise<void>>();
  atOnce = 0;
  work?: (delivery: Delivery) => Promise<void>;
}

/** Where one process does everything: what has been handed over waits in its memory. */
export class MemoryJobQueue implements JobQueue {
  private readonly lines = new Map<string, Line>();
  private closed = false;

  async room(job: string): Promise<number> {
    return MOST_WAITING - this.line(job).waiting.size;
  }

  async add(job: string, deliveries: readonly Delivery[]): Promise<void> {
    const line = this.line(job);
    for (const delivery of deliveries) line.waiting.set(`${delivery.id}-${delivery.taken}`, delivery);
    this.goOn(line);
  }

  work(job: string, atOnce: number, work: (delivery: Delivery) => Promise<void>): void {
    const line = Object.assign(this.line(job), { atOnce, work });
    this.goOn(line);
  }

  async ping(): Promise<void> {}

  async close(): Promise<readonly Delivery[]> {
    this.closed = true;
    const lines = [...this.lines.values()];
    await Promise.all(lines.flatMap(({ running }) => [...running]));
    return lines.flatMap(({ waiting }) => [...waiting.values()]);
  }

  private line(job: string): Line {
    let line = this.lines.get(job);
    if (!line) this.lines.set(job, (line = new Line()));
    return line;
  }

  private goOn(line: Line): void {
    for (const [key, delivery] of line.waiting) {
      if (this.closed || line.running.size >= line.atOnce) return;
      line.waiting.delete(key);
      const running = line.work!(delivery).finally(() => {
        line.running.delete(running);
        this.goOn(line);
      });
      line.running.add(running);
    }
  }
}
