import { Gathered } from '../gathered';
import type { KeyValueStore } from './key-value-store';
import type { RedisClient } from './redis-client';

/** Redis, spoken to through its client: cache-manager's store above it would encode each value twice (44 µs for a 13 KB view). */
export class RedisStore implements KeyValueStore {
  private readonly lookups = new Gathered((asked: (readonly string[])[]) => this.look(asked));

  constructor(private readonly redis: RedisClient) {}

  runOf(key: string): string | undefined {
    return this.redis.runOf(key);
  }

  async get(keys: readonly string[]): Promise<(Buffer | undefined)[]> {
    return this.redis.takesAnyKeys ? this.lookups.one(keys) : (await this.look([keys]))[0]!;
  }

  /** One command for all, with each key once. */
  private async look(asked: (readonly string[])[]): Promise<(Buffer | undefined)[][]> {
    const keys = [...new Set(asked.flat())];
    const values = (await this.redis.send('MGET', ...keys)) as (Buffer | null)[];
    const byKey = new Map(keys.map((key, at) => [key, values[at] ?? undefined]));
    return asked.map((each) => each.map((key) => byKey.get(key)));
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
