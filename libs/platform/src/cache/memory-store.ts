import type { Cache } from 'cache-manager';
import type { KeyValueStore } from './key-value-store';

/** cache-manager's own memory, for the embedded way to run. */
export class MemoryStore implements KeyValueStore {
  /** It ends with the process, and never goes back. */
  runOf(): string {
    return 'memory';
  }

  constructor(private readonly cache: Cache) {}

  async get(keys: readonly string[]): Promise<(Buffer | undefined)[]> {
    const values = await Promise.all(keys.map((key) => this.cache.get<string>(key)));
    return values.map((value) => (value === undefined ? undefined : Buffer.from(value, 'latin1')));
  }

  /** Any bytes have a form as a string, one character each, that the memory keeps as it is. */
  async set(key: string, value: string | Buffer, ttlSeconds: number): Promise<void> {
    await this.cache.set(key, Buffer.from(value as string).toString('latin1'), ttlSeconds * 1000);
  }

  /** Not atomic over the two steps; whoever is second loses, as with Redis. */
  private readonly claims = new Set<string>();
  async setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean> {
    if (this.claims.has(key)) return false;
    this.claims.add(key);
    try {
      if ((await this.cache.get(key)) !== undefined) return false;
      await this.set(key, value, ttlSeconds);
      return true;
    } finally {
      this.claims.delete(key);
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map((key) => this.cache.del(key)));
  }

  async ping(): Promise<void> {
    // In this process: it answers whenever anything does.
  }
}
