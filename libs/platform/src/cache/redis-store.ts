import type { KeyValueStore } from './key-value-store';
import type { RedisClient } from './redis-client';

/** Redis, spoken to through its client: cache-manager's store above it would encode each value twice (44 µs for a 13 KB view). */
export class RedisStore implements KeyValueStore {
  constructor(private readonly redis: RedisClient) {}

  runOf(key: string): string | undefined {
    return this.redis.runOf(key);
  }

  async get(keys: readonly string[]): Promise<(Buffer | undefined)[]> {
    const values = (await this.redis.send('MGET', ...keys)) as (Buffer | null)[];
    return values.map((value) => value ?? undefined);
  }

  async set(key: string, value: string | Buffer, ttlSeconds: number): Promise<void> {
    await this.redis.send('SET', key, value, 'EX', String(ttlSeconds));
  }

  async setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean> {
    return (await this.redis.send('SET', key, value, 'EX', String(ttlSeconds), 'NX')) !== null;
  }

  async delete(keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await this.redis.send('DEL', ...keys);
  }

  async ping(): Promise<void> {
    await Promise.all(this.redis.nodes().map((node) => node.send('PING')));
  }
}
