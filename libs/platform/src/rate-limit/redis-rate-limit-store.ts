import { createHash } from 'node:crypto';
import type { RedisClient } from '../cache/redis-client';
import type { Hits, RateLimitStore } from './rate-limit-store';

/**
 * Counting and ending are one step: no process can die between them, and Redis itself hands on all of a script or
 * nothing. A key that somebody else has spoilt (no end, too late an end, not a number) is mended by its next request.
 */
export const COUNT_SCRIPT = `
local window = tonumber(ARGV[1])
local count = redis.pcall('INCR', KEYS[1])
if type(count) == 'table' then
  redis.call('SET', KEYS[1], '1')
  count = 1
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left > window then
  redis.call('PEXPIRE', KEYS[1], window)
  left = window
end
return { count, left }`;

const SHA = createHash('sha1').update(COUNT_SCRIPT).digest('hex');

/** Counts for all processes together. */
export class RedisRateLimitStore implements RateLimitStore {
  constructor(private readonly redis: RedisClient) {}

  async hit(key: string, windowSeconds: number): Promise<Hits> {
    const words = ['1', key, String(windowSeconds * 1000)];
    try {
      return asHits(await this.redis.send('EVALSHA', SHA, ...words));
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      return asHits(await this.redis.send('EVAL', COUNT_SCRIPT, ...words)); // a server that has just started learns it here
    }
  }
}

function asHits(answer: unknown): Hits {
  const [count, msLeft] = answer as [number, number];
  return { count, msLeft };
}
