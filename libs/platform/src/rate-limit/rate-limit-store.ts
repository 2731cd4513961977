/** What is known of a window after one more request was counted in it. */
export interface Hits {
  count: number;
  /** Until the window ends and counting begins anew. */
  msLeft: number;
}

/**
 * Counts in fixed windows, each of which begins with its first request. Two adapters (Redis, for all
 * processes together; this process's memory) pass one contract test.
 */
export interface RateLimitStore {
  hit(key: string, windowSeconds: number): Promise<Hits>;
}

/** The braces keep a principal's counts in one slot of a Redis cluster, a learner's beside its cached views. */
export const rateLimitKey = (principal: string, bucket: string) => `ratelimit:{${principal}}:${bucket}`;
