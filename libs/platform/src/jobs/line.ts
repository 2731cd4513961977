import type { Delivery } from './job';

interface Place {
  readonly delivery: Delivery;
  readonly leave: () => void;
  /** Fulfilled when the delivery is worked off, or will not be here. */
  readonly left: Promise<void>;
}

/** Deliveries of one kind of job that wait in this process, of which so many are worked on at the same time. */
export class Line {
  private readonly waiting = new Map<string, Place>();
  private readonly running = new Set<Promise<void>>();
  private atOnce = 0;
  private closed = false;
  private work?: (delivery: Delivery) => Promise<void>;

  get length(): number {
    return this.waiting.size;
  }

  /** Works off what waits and what will come. `work` does not throw. */
  start(atOnce: number, work: (delivery: Delivery) => Promise<void>): this {
    Object.assign(this, { atOnce, work });
    this.goOn();
    return this;
  }

  /** One that waits already does not wait twice. @returns once they are worked off, or the line is closed */
  async add(deliveries: readonly Delivery[]): Promise<void> {
    if (this.closed) return; // their rows are due again soon
    const places = deliveries.map((delivery) => this.placeOf(delivery));
    this.goOn();
    await Promise.all(places.map(({ left }) => left));
  }

  /** Begins with no more, and waits for what is under way. @returns what still waits */
  async close(): Promise<readonly Delivery[]> {
    this.closed = true;
    await Promise.all(this.running);
    const places = [...this.waiting.values()];
    for (const { leave } of places) leave();
    return places.map(({ delivery }) => delivery);
  }

  private placeOf(delivery: Delivery): Place {
    const key = `${delivery.id}-${delivery.taken}`;
    let place = this.waiting.get(key);
    if (!place) {
      const { promise: left, resolve: leave } = Promise.withResolvers<void>();
      this.waiting.set(key, (place = { delivery, leave, left }));
    }
    return place;
  }

  private goOn(): void {
    for (const [key, { delivery, leave }] of this.waiting) {
      if (this.closed || this.running.size >= this.atOnce) return;
      this.waiting.delete(key);
      const running = this.work!(delivery).finally(() => {
        this.running.delete(running);
        leave();
        this.goOn();
      });
      this.running.add(running);
    }
  }
}
