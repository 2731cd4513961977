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
    const [count, msLeft] = (await this.count(key, String(windowSeconds * 1000))) as [number, number];
    return { count, msLeft };
  }

  private count(key: string, windowMs: string): Promise<unknown> {
    return this.redis.send('EVALSHA', SHA, '1', key, windowMs).catch((error: Error) => {
      if (!error.message.startsWith('NOSCRIPT')) throw error;
      return this.redis.send('EVAL', COUNT_SCRIPT, '1', key, windowMs); // a server that has just started learns it here
    });
  }
}
