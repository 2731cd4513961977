import fc from 'fast-check';
import { default_w } from 'ts-fsrs';
import { afterReview, maturityOf, newSchedule, replay, type Schedule, type ScheduledReview } from './schedule';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const CREATED = new Date('2026-03-01T10:00:00.000Z');

interface BindingMemoryState {
  stability: number;
  difficulty: number;
}
type NextStates = Record<'again' | 'hard' | 'good' | 'easy', { memory: BindingMemoryState }>;

/** The binary itself: the package around it names binaries for other machines that are not to be had everywhere. */
const { FSRSBinding } = jest.requireActual<{
  FSRSBinding: new (parameters: number[]) => {
    nextStates(memory: BindingMemoryState | undefined, retention: number, days: number): NextStates;
  };
}>('@open-spaced-repetition/binding-linux-x64-gnu');

/** The reference implementation, in Rust: it knows memory states and whole days, and nothing of our code. */
const oracle = new FSRSBinding([...default_w]);

function oracleAfter(memory: BindingMemoryState | undefined, rating: number, days: number): BindingMemoryState {
  const { again, hard, good, easy } = oracle.nextStates(memory, 0.9, days);
  return [again, hard, good, easy][rating - 1]!.memory;
}

/** FSRS counts days by the date (UTC), not by hours. */
const dateOf = (moment: Date) => Date.parse(moment.toISOString().slice(0, 10)) / DAY_MS;

const distance = (ours: number, theirs: number) => Math.abs(ours - theirs) / Math.max(1, Math.abs(theirs));

/** Ratings one after the other, each so many days after the one before. */
const log = (...reviews: [rating: number, days: number][]): ScheduledReview[] => {
  let at = CREATED.getTime();
  return reviews.map(([rating, days], index) => ({ rating, reviewedAt: new Date((at += days * DAY_MS)), seq: index + 1 }));
};

const ratings = fc.integer({ min: 1, max: 4 });
const delays = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 1, max: 10 * MINUTE_MS }),
  fc.integer({ min: MINUTE_MS, max: DAY_MS }),
  fc.integer({ min: DAY_MS, max: 30 * DAY_MS }),
  fc.integer({ min: DAY_MS, max: 300 * DAY_MS }),
  fc.integer({ min: DAY_MS, max: 3000 * DAY_MS }),
);
/** A log in the order of its time, some reviews at the same moment. */
const logs = fc
  .array(fc.tuple(ratings, delays), { maxLength: 15 })
  .map((steps) => log(...steps.map(([rating, ms]): [number, number] => [rating, ms / DAY_MS])));

function expectSound(schedule: Schedule): void {
  const { stability, difficulty, scheduledDays, learningStep, reps, lapses, lastReviewed, nextReview, state } = schedule;
  for (const number of [stability, difficulty, scheduledDays, learningStep, reps, lapses]) {
    expect(Number.isFinite(number)).toBe(true);
    expect(number).toBeGreaterThanOrEqual(0);
  }
  for (const whole of [scheduledDays, learningStep, reps, lapses]) expect(Number.isInteger(whole)).toBe(true);
  expect(difficulty).toBeLessThanOrEqual(10);
  expect(lapses).toBeLessThanOrEqual(reps);
  expect(maturityOf(schedule)).toBeGreaterThanOrEqual(0);
  expect(maturityOf(schedule)).toBeLessThanOrEqual(1);
  expect(nextReview.toJSON()).not.toBeNull();
  expect(lastReviewed === null).toBe(state === 'new');
  if (lastReviewed) expect(nextReview.getTime()).toBeGreaterThan(lastReviewed.getTime());
}

describe('ST-7 the schedule', () => {
  it('equals that of the reference implementation, in more than 20,000 states', () => {
    let states = 0;
    let [stability, difficulty] = [0, 0];
    fc.assert(
      fc.property(fc.array(fc.tuple(ratings, delays), { minLength: 4, maxLength: 12 }), (steps) => {
        let schedule = newSchedule(CREATED);
        let memory: BindingMemoryState | undefined;
        let at = CREATED;
        steps.forEach(([rating, ms], index) => {
          const reviewedAt = new Date(at.getTime() + ms);
          memory = oracleAfter(memory, rating, memory ? dateOf(reviewedAt) - dateOf(at) : 0);
          schedule = afterReview(schedule, { rating, reviewedAt, seq: index + 1 });
          at = reviewedAt;
          states += 1;
          stability = Math.max(stability, distance(schedule.stability, memory.stability));
          difficulty = Math.max(difficulty, distance(schedule.difficulty, memory.difficulty));
        });
      }),
      { numRuns: 3000, seed: 7 },
    );
    expect(states).toBeGreaterThan(20_000);
    // Measured: 3.4e-6 and 1.3e-6. The reference counts in 32 bits, and all the way on.
    expect(stability).toBeLessThan(1e-5);
    expect(difficulty).toBeLessThan(1e-5);
  });

  // Stability and difficulty are the reference's, to four decimals; the interval is its interval in whole days.
  it.each<[steps: [rating: number, days: number][], stability: number, difficulty: number, interval: number]>([
    [[[1, 0]], 0.212, 6.4133, 0],
    [[[2, 0]], 1.2931, 5.1122, 0],
    [[[3, 0]], 2.3065, 2.1181, 0],
    [[[4, 0]], 8.2956, 1, 8],
    [[[3, 0], [3, 0]], 2.3065, 2.1112, 2], // prettier-ignore
    [[[3, 0], [3, 0], [3, 2]], 10.9711, 2.1043, 11], // prettier-ignore
    [[[3, 0], [3, 0], [3, 2], [3, 11]], 46.3169, 2.0975, 46], // prettier-ignore
    [[[3, 0], [3, 0], [3, 2], [3, 11], [1, 46]], 2.9338, 7.3877, 0], // prettier-ignore
    [[[3, 0], [3, 0], [3, 2], [3, 11], [1, 46], [3, 0]], 2.9338, 7.3756, 3], // prettier-ignore
    [[[4, 0], [3, 8]], 38.9052, 1, 39], // prettier-ignore
    [[[4, 0], [4, 8], [4, 40]], 292.6805, 1, 293], // prettier-ignore
    [[[4, 0], [2, 8]], 26.7042, 4.0106, 27], // prettier-ignore
    [[[4, 0], [3, 365], [3, 3650]], 1815.4644, 1, 1815], // prettier-ignore
    [[[1, 0], [1, 0], [2, 0], [3, 0]], 0.1031, 9.1788, 0], // prettier-ignore
  ])('after %j is what the reference says', (steps, stability, difficulty, interval) => {
    const schedule = replay(CREATED, log(...steps));
    expect(schedule.stability).toBeCloseTo(stability, 3);
    expect(schedule.difficulty).toBeCloseTo(difficulty, 3);
    expect(schedule.scheduledDays).toBe(interval);
    if (interval > 0) expect(schedule.nextReview.getTime() - schedule.lastReviewed!.getTime()).toBe(interval * DAY_MS);
  });

  it('begins new, and due at once', () => {
    expect(newSchedule(CREATED)).toEqual({
      ...{ state: 'new', stability: 0, difficulty: 0, scheduledDays: 0, learningStep: 0, reps: 0, lapses: 0 },
      ...{ lastReviewed: null, nextReview: CREATED },
    });
    expect(replay(CREATED, [])).toEqual(newSchedule(CREATED));
  });

  it('learns in steps of 1 and 10 minutes, and again in 10 minutes what was forgotten', () => {
    const minutesAfter = (...steps: [number, number][]) => {
      const { state, lastReviewed, nextReview } = replay(CREATED, log(...steps));
      return [state, (nextReview.getTime() - lastReviewed!.getTime()) / MINUTE_MS];
    };
    expect(minutesAfter([1, 0])).toEqual(['learning', 1]);
    expect(minutesAfter([3, 0])).toEqual(['learning', 10]);
    expect(minutesAfter([2, 0])).toEqual(['learning', 6]); // halfway, rounded up
    expect(minutesAfter([3, 0], [3, 0])[0]).toBe('review');
    expect(minutesAfter([4, 0])[0]).toBe('review');
    expect(minutesAfter([4, 0], [1, 8])).toEqual(['relearning', 10]);
    expect(minutesAfter([4, 0], [1, 8], [3, 0])[0]).toBe('review');
  });

  it('is the same in whatever order the reviews arrive; at the same moment the earlier arrival comes first', () => {
    const shuffled = logs.chain((given) =>
      fc.tuple(fc.constant(given), fc.shuffledSubarray(given, { minLength: given.length })),
    );
    fc.assert(
      fc.property(shuffled, ([given, arrived]) => {
        expect(replay(CREATED, arrived)).toEqual(replay(CREATED, given));
      }),
    );
    const [again, easy] = [1, 4].map((rating, index) => ({ rating, reviewedAt: CREATED, seq: index + 1 }));
    expect(replay(CREATED, [easy!, again!])).toEqual(replay(CREATED, [again!, easy!]));
    expect(
      replay(CREATED, [
        { ...again!, seq: 2 },
        { ...easy!, seq: 1 },
      ]),
    ).not.toEqual(replay(CREATED, [again!, easy!]));
  });

  it('is the same step by step as by replaying, and sound at every step', () => {
    fc.assert(
      fc.property(logs, (given) => {
        let schedule = newSchedule(CREATED);
        expectSound(schedule);
        given.forEach((review, index) => {
          schedule = afterReview(schedule, review);
          expectSound(schedule);
          expect(schedule).toEqual(replay(CREATED, given.slice(0, index + 1)));
        });
        expect(schedule.reps).toBe(given.length);
        // As when it has been to PostgreSQL and back.
        expect(replay(CREATED, JSON.parse(JSON.stringify(given), revived) as ScheduledReview[])).toEqual(schedule);
      }),
    );
  });

  it('leaves alone what it is given', () => {
    const given = log([3, 0], [3, 1], [1, 9])
      .toReversed()
      .map((review) => Object.freeze(review));
    const first = Object.freeze(newSchedule(CREATED));
    replay(CREATED, Object.freeze(given));
    afterReview(first, given[0]!);
    expect(first).toEqual(newSchedule(CREATED));
  });

  it('knows reviews from long before the item was here, and from years ahead', () => {
    const moments = [
      '2000-01-01T00:00:00.000Z',
      '2012-02-29T23:59:59.999Z',
      '2026-11-22T19:05:00.000Z',
      '2099-12-31T23:59:59.999Z',
    ];
    for (const rating of [1, 2, 3, 4]) {
      const given = moments.map((moment, index) => ({ rating, reviewedAt: new Date(moment), seq: index + 1 }));
      for (let length = 1; length <= given.length; length++) expectSound(replay(CREATED, given.slice(0, length)));
    }
  });

  it('stays sound over a thousand reviews', () => {
    for (const rating of [1, 2, 3, 4]) {
      for (const days of [0, 1 / 24, 1, 7]) {
        const schedule = replay(CREATED, log(...Array.from({ length: 1000 }, (): [number, number] => [rating, days])));
        expectSound(schedule);
        expect(schedule.reps).toBe(1000);
        expect(schedule.scheduledDays).toBeLessThanOrEqual(36_500);
      }
    }
  });

  it('ST-4 calls mature what is remembered for three weeks', () => {
    expect(maturityOf({ stability: 0 })).toBe(0);
    expect(maturityOf({ stability: 10.5 })).toBe(0.5);
    expect(maturityOf({ stability: 21 })).toBe(1);
    expect(maturityOf({ stability: 36_500 })).toBe(1);
  });
});

const revived = (key: string, value: unknown) => (key === 'reviewedAt' ? new Date(value as string) : value);
