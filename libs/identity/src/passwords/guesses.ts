import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { ExpiringMap, RateLimited, RateLimits, type RatePolicy } from '@studently/platform';

/** Wrong passwords a minute for one account from one place. */
const FROM_ONE_PLACE: RatePolicy = { name: 'guess', limit: 5, limitAlone: 5 };
/** From all places together. Beyond it, each place has one wrong password a minute left, but nobody is locked out. */
const FROM_ANYWHERE: RatePolicy = { name: 'account', limit: 100, limitAlone: 50 };

const MOST_PLACES = 100_000;
const MOST_ACCOUNTS = 10_000;

/**
 * Slows down who guesses passwords: by account and place (an address, a session), whether there is such an account or not.
 * What somebody does in one place never counts in another, so an attacker can lock nobody out but himself. The counts are in
 * Redis under hashes; a process refuses from the wrong password on with which it has learned that there were enough.
 */
@Injectable()
export class Guesses {
  private readonly places = new ExpiringMap<{ hadEnough: boolean }>(MOST_PLACES);
  private readonly attacked = new ExpiringMap<true>(MOST_ACCOUNTS);

  constructor(private readonly limits: RateLimits) {}

  /** Before a password is looked at. @throws RateLimited */
  assertFew(account: string, place: string): void {
    const before = this.places.get(principal(account, place));
    if (!before || !(before.value.hadEnough || this.attacked.get(account))) return;
    throw new RateLimited(Math.ceil(before.msLeft / 1000));
  }

  /** After a wrong one. */
  async count(account: string, place: string): Promise<void> {
    const here = principal(account, place);
    const [from, anywhere] = await Promise.all([
      this.limits.take(here, FROM_ONE_PLACE),
      this.limits.take(principal(account), FROM_ANYWHERE),
    ]);
    this.places.set(here, { hadEnough: from.remaining === 0 }, from.secondsLeft * 1000);
    if (anywhere.remaining === 0) this.attacked.set(account, true, anywhere.secondsLeft * 1000);
  }
}

/** No address and no name is in a key. */
function principal(...parts: string[]): string {
  return `g:${createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32)}`;
}
