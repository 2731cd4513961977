import { commandOptions, type RedisClientType } from 'redis4';
import type { KeyValueStore } from './key-value-store';

const AS_BYTES = commandOptions({ returnBuffers: true });

/** Longer than any healthy answer; a server that hangs must not hold up a request that PostgreSQL can serve. */
const DEADLINE_MS = 300;

/**
 * Redis, spoken to through the client of cache-manager-redis-yet: the store above it would encode each
 * value twice (44 µs for a 13 KB view).
 */
export class RedisStore implements KeyValueStore {
  constructor(private readonly client: RedisClientType) {}

  async get(keys: readonly string[]): Promise<(Buffer | undefined)[]> {
    const values = await within(this.client.mGet(AS_BYTES, [...keys]));
    return values.map((value) => value ?? undefined);
  }

  async set(key: string, value: string, ttlSeconds: number): Promise<void> {
    await within(this.client.set(key, value, { EX: ttlSeconds }));
  }

  async setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean> {
    return (await within(this.client.set(key, value, { EX: ttlSeconds, NX: true }))) === 'OK';
  }

  async delete(keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await within(this.client.del([...keys]));
  }

  async ping(): Promise<void> {
    await within(this.client.ping());
  }
}

async function within<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    const giveUp = () => reject(new Error(`Redis has not answered within ${DEADLINE_MS} ms`));
    // After the next look at the socket: where this process has been busy for long, the answer may lie there.
    timer = setTimeout(() => setImmediate(() => setImmediate(giveUp)), DEADLINE_MS);
  });
  try {
    return await Promise.race([answer, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
