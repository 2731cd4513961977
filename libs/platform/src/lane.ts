/** A few at a time, some more wait, and while it is closed nobody is let in. */
export class Lane {
  private readonly waiting: (() => void)[] = [];
  private running = 0;
  private opensAt = 0;
  private timesClosed = 0;
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly atOnce: number,
    private readonly mostWaiting: number,
    /** For how long it may be closed until waiting is in vain. */
    private readonly patienceMs: number,
  ) {}

  /** Nobody is in it, and nobody waits. */
  get isIdle(): boolean {
    return this.running === 0 && this.waiting.length === 0;
  }

  /** Whoever comes now is let in at once. */
  get isFree(): boolean {
    return this.running < this.atOnce && this.waiting.length === 0 && this.closedForMs === 0;
  }

  get closedForMs(): number {
    return Math.max(0, this.opensAt - performance.now());
  }

  /** @throws LaneFull, and the reason of `ending` if that is aborted while it waits */
  async run<T>(work: () => Promise<T>, ending?: AbortSignal): Promise<T> {
    await this.enter(ending);
    try {
      return await work();
    } finally {
      this.running--;
      this.letIn();
    }
  }

  /** @param ms for how long; unless said, the longer the oftener it was closed in a row */
  close(ms?: number): void {
    const forMs = ms ?? (this.closedForMs === 0 ? backOffMs(++this.timesClosed) : 0);
    this.opensAt = Math.max(this.opensAt, performance.now() + forMs);
  }

  /** All is well again. */
  open(): void {
    this.timesClosed = 0;
  }

  private async enter(ending?: AbortSignal): Promise<void> {
    ending?.throwIfAborted();
    if (this.waiting.length >= this.mostWaiting || this.closedForMs > this.patienceMs) throw new LaneFull();
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        this.waiting.splice(this.waiting.indexOf(enter), 1);
        reject(ending!.reason as Error);
      };
      const enter = () => {
        ending?.removeEventListener('abort', leave);
        resolve();
      };
      ending?.addEventListener('abort', leave, { once: true });
      this.waiting.push(enter);
      this.letIn();
    });
  }

  private letIn(): void {
    clearTimeout(this.timer);
    if (this.waiting.length === 0) return;
    if (this.closedForMs > 0) {
      this.timer = setTimeout(() => this.letIn(), this.closedForMs);
      return;
    }
    for (; this.running < this.atOnce && this.waiting.length > 0; this.running++) this.waiting.shift()!();
  }
}

/** Too many wait already, or it stays closed for too long. */
export class LaneFull extends Error {}

const LONGEST_BACK_OFF_MS = 30_000;

/** A quarter of a second, doubled each time; half of it is chance, so that those who failed together do not come back together. */
export function backOffMs(time: number): number {
  return Math.min(125 * 2 ** time, LONGEST_BACK_OFF_MS) * (0.5 + Math.random() / 2);
}
