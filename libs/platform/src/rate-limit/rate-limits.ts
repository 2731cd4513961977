import { Inject, Injectable, Logger } from '@nestjs/common';
import { DomainError } from '../errors/domain-error';
import { ExpiringMap } from './expiring-map';
import { MemoryRateLimitStore } from './memory-rate-limit-store';
import { rateLimitKey, type Hits, type RateLimitStore } from './rate-limit-store';

/** Every window is as long. */
export const RATE_WINDOW_SECONDS = 60;

const MOST_DENIALS = 50_000;

/** How often somebody may do something in a minute. */
export interface RatePolicy {
  /** The last part of the key. */
  readonly name: string;
  readonly limit: number;
  /** The limit while Redis does not answer and each process counts for itself. */
  readonly limitAlone: number;
}

export interface RateVerdict {
  readonly policy: RatePolicy;
  readonly isAllowed: boolean;
  readonly remaining: number;
  /** Until the window ends; at least 1. */
  readonly secondsLeft: number;
}

export class RateLimited extends DomainError {
  constructor(secondsLeft: number) {
    super('rate-limited', 'RATE_LIMITED', `Too many requests: try again in ${secondsLeft} s.`, {
      retryAfterSeconds: secondsLeft,
    });
  }
}

/** Token of the store in Nest's container. */
export const RATE_LIMIT_STORE = Symbol('RATE_LIMIT_STORE');

/** Who has had enough for this minute (docs/adr/0016-rate-limits.md). */
@Injectable()
export class RateLimits {
  private readonly logger = new Logger(RateLimits.name);
  private readonly alone = new MemoryRateLimitStore();
  private readonly denials = new ExpiringMap<true>(MOST_DENIALS);
  private storeIsDown = false;

  constructor(@Inject(RATE_LIMIT_STORE) private readonly store: RateLimitStore) {}

  /** Counts one request. Never rejects: without Redis this process counts alone. */
  async take(principal: string, policy: RatePolicy): Promise<RateVerdict> {
    const key = rateLimitKey(principal, policy.name);
    const denial = this.denials.get(key);
    if (denial) return verdict(policy, 0, denial.msLeft, false);
    let { limit } = policy;
    let hits: Hits;
    try {
      hits = await this.store.hit(key, RATE_WINDOW_SECONDS);
      this.storeIsDown = false;
    } catch (error) {
      this.noteOutage(error);
      hits = await this.alone.hit(key, RATE_WINDOW_SECONDS);
      limit = policy.limitAlone;
    }
    const { count, msLeft } = hits;
    if (count > limit) this.denials.set(key, true, msLeft); // a flood is refused from here on without asking anybody
    return verdict(policy, Math.max(0, limit - count), msLeft, count <= limit);
  }

  private noteOutage(error: unknown): void {
    const reason = error instanceof Error ? error.message : 'failure';
    if (!this.storeIsDown) this.logger.warn(`Requests are counted by each process alone, as Redis does not answer: ${reason}`);
    this.storeIsDown = true;
  }
}

function verdict(policy: RatePolicy, remaining: number, msLeft: number, isAllowed: boolean): RateVerdict {
  return { policy, isAllowed, remaining, secondsLeft: Math.max(1, Math.ceil(msLeft / 1000)) };
}
