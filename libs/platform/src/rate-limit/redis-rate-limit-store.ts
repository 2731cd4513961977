import { createHash } from 'node:crypto';
import { Gathered } from '../gathered';
import type { RedisClient } from '../cache/redis-client';
import type { Hits, RateLimitStore } from './rate-limit-store';

/**
 * Counting and ending are one step: no process can die between them, and Redis itself hands on all of a script or
 * nothing. A key that somebody else has spoilt (no end, too late an end, not a number) is mended by its next request.
 */
export const COUNT_SCRIPT = `
local answers = {}
for nr, key in ipairs(KEYS) do
  local window = tonumber(ARGV[nr])
  local count = redis.pcall('INCR', key)
  if type(count) == 'table' then
    redis.call('SET', key, '1')
    count = 1
  end
  local left = redis.call('PTTL', key)
  if left < 0 or left > window then
    redis.call('PEXPIRE', key, window)
    left = window
  end
  answers[nr] = { count, left }
end
return answers`;

const SHA = createHash('sha1').update(COUNT_SCRIPT).digest('hex');

/** Counts for all processes together. */
export class RedisRateLimitStore implements RateLimitStore {
  private readonly counts = new Gathered((hits: Hit[]) => this.count(hits));

  constructor(private readonly redis: RedisClient) {}

  async hit(key: string, windowSeconds: number): Promise<Hits> {
    const hit = { key, windowSeconds };
    return this.redis.takesAnyKeys ? this.counts.one(hit) : (await this.count([hit]))[0]!;
  }

  /** Whoever hits twice counts twice. */
  private async count(hits: Hit[]): Promise<Hits[]> {
    const windows = hits.map(({ windowSeconds }) => String(windowSeconds * 1000));
    const words = [String(hits.length), ...hits.map(({ key }) => key), ...windows];
    const answers = (await this.run(words)) as [count: number, msLeft: number][];
    return answers.map(([count, msLeft]) => ({ count, msLeft }));
  }

  private async run(words: string[]): Promise<unknown> {
    try {
      return await this.redis.send('EVALSHA', SHA, ...words);
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      return this.redis.send('EVAL', COUNT_SCRIPT, ...words); // a server that has just started learns it here
    }
  }
}

interface Hit {
  key: string;
  windowSeconds: number;
}
