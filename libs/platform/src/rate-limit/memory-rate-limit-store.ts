import { ExpiringMap } from './expiring-map';
import type { Hits, RateLimitStore } from './rate-limit-store';

/** Windows that are kept at most: some 20 MB. */
const MOST_WINDOWS = 100_000;

/** Counts in this process: for the embedded way to run, and for as long as Redis does not answer. */
export class MemoryRateLimitStore implements RateLimitStore {
  private readonly windows = new ExpiringMap<{ count: number }>(MOST_WINDOWS);

  hit(key: string, windowSeconds: number): Promise<Hits> {
    const window = this.windows.get(key);
    if (window) return Promise.resolve({ count: ++window.value.count, msLeft: window.msLeft });
    this.windows.set(key, { count: 1 }, windowSeconds * 1000);
    return Promise.resolve({ count: 1, msLeft: windowSeconds * 1000 });
  }
}
