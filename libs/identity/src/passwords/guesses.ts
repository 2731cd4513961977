import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { ExpiringMap, RateLimited, RateLimits, type RatePolicy } from '@studently/platform';

/** Wrong passwords a minute for one account from one place. */
const FROM_ONE_PLACE: RatePolicy = { name: 'guess', limit: 5, limitAlone: 5 };
/** From all places together. Beyond it, each place has one wrong password a minute left, but nobody is locked out. */
const FROM_ANYWHERE: RatePolicy = { name: 'account', limit: 100, limitAlone: 50 };

const MOST_PLACES = 100_000;
const MOST_ACCOUNTS = 10_000;

/** Whose password is guessed, and from where: an address, a session. */
export type Guess = readonly [account: string, place: string];

/**
 * Slows down who guesses passwords: by account and place, whether there is such an account or not.
 * What somebody does in one place never counts in another, so an attacker can lock nobody out but himself. The counts are in
 * Redis under hashes; a process refuses from the wrong password on with which it has learned that there were enough.
 */
@Injectable()
export class Guesses {
  private readonly places = new ExpiringMap<{ hadEnough: boolean }>(MOST_PLACES);
  private readonly attacked = new ExpiringMap<true>(MOST_ACCOUNTS);
  /** The last of those that wait for their turn, by account and place. */
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(private readonly limits: RateLimits) {}

  /**
   * Looks at a password, and counts it if it is wrong, when those that came before it for the same account from the same place have been.
   * Only so are many that are sent at once no more than as many in a row; right ones wait, and none is refused.
   * @throws RateLimited if there were enough wrong ones
   */
  async inTurn<T>(guess: Guess, look: () => Promise<T>): Promise<T> {
    const here = principal(...guess);
    const before = this.turns.get(here) ?? Promise.resolve();
    const turn = before
      .catch(() => undefined)
      .then(() => {
        this.assertFew(guess);
        return look();
      });
    this.turns.set(here, turn);
    try {
      return await turn;
    } finally {
      if (this.turns.get(here) === turn) this.turns.delete(here);
    }
  }

  /** A wrong one, in its turn. */
  async count([account, place]: Guess): Promise<void> {
    const here = principal(account, place);
    const [from, anywhere] = await Promise.all([
      this.limits.take(here, FROM_ONE_PLACE),
      this.limits.take(principal(account), FROM_ANYWHERE),
    ]);
    this.places.set(here, { hadEnough: from.remaining === 0 }, from.secondsLeft * 1000);
    if (anywhere.remaining === 0) this.attacked.set(account, true, anywhere.secondsLeft * 1000);
  }

  private assertFew([account, place]: Guess): void {
    const before = this.places.get(principal(account, place));
    if (!before || !(before.value.hadEnough || this.attacked.get(account))) return;
    throw new RateLimited(Math.ceil(before.msLeft / 1000));
  }
}

/** No address and no name is in a key. */
function principal(...parts: string[]): string {
  return `g:${createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32)}`;
}
