/** Values that end by themselves. Beyond `most` the oldest go first, so that nobody fills the memory with invented keys. */
export class ExpiringMap<V> {
  private readonly entries = new Map<string, { value: V; endsAt: number }>();

  constructor(private readonly most: number) {}

  get(key: string): { value: V; msLeft: number } | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    const msLeft = entry.endsAt - performance.now(); // a clock that nobody sets
    if (msLeft > 0) return { value: entry.value, msLeft };
    this.entries.delete(key);
    return undefined;
  }

  set(key: string, value: V, ms: number): void {
    const now = performance.now();
    this.entries.delete(key); // a new value is a new last one
    for (const [oldest, { endsAt }] of this.entries) {
      if (endsAt > now && this.entries.size < this.most) break;
      this.entries.delete(oldest);
    }
    this.entries.set(key, { value, endsAt: now + ms });
  }

  get size(): number {
    return this.entries.size;
  }
}
