import { openSync, writeSync } from 'node:fs';
import { createClient, type RedisClientType } from 'redis4';
import { SingleRedis } from '../../../libs/platform/src/cache/redis-client';
import { RedisRateLimitStore } from '../../../libs/platform/src/rate-limit/redis-rate-limit-store';
import { answer } from '../../bench/harness/processes';

export interface Hitting {
  redisUrl: string;
  /** Gets a line `<key's index> <count> <ms left>` for each hit, written before the next one: SIGKILL cannot take it back. */
  file: string;
  keys: string[];
  windowSeconds: number;
  hits: number;
  inFlight: number;
}

/** A process that counts with the real adapter, as fast as it can. */
answer<Hitting, true>(async ({ redisUrl, file, keys, windowSeconds, hits, inFlight }) => {
  const client = (await createClient({ url: redisUrl }).connect()) as RedisClientType;
  const store = new RedisRateLimitStore(new SingleRedis(client));
  const out = openSync(file, 'a');
  let left = hits;
  const hitter = async () => {
    while (left > 0) {
      const index = left-- % keys.length;
      const { count, msLeft } = await store.hit(keys[index]!, windowSeconds);
      writeSync(out, `${index} ${count} ${msLeft}\n`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, hitter));
  await client.disconnect();
  return true;
});
