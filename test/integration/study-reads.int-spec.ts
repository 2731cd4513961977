import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { Client } from 'pg';
import { PutProfile } from '@studently/identity';
import { Database, type Learner } from '@studently/platform';
import {
  AddStudyItem,
  ChangeStudyItem,
  DeleteStudyItem,
  GetForecast,
  GetStats,
  GetStudyItem,
  ImportStudyItems,
  ListDue,
  ListReviews,
  ListStudyItems,
  ReviewItem,
  UndoReview,
} from '@studently/study';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { withClient } from '../support/servers';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NOW = new Date('2026-11-22T12:00:00.000Z');
const flashcard = { type: 'flashcard', content: { front: 'a', back: 'b' } };

/** The same numbers every time. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const clocks: Record<string, Intl.DateTimeFormat> = {};

/** What the clock on the wall shows, as if that were UTC; told by Intl, where the platform asks luxon. */
function wallClock(moment: Date, timeZone: string): number {
  const clock = (clocks[timeZone] ??= new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }));
  return Date.parse(`${clock.format(moment).replace(' ', 'T')}Z`) + (moment.getTime() % 1000);
}
const iso = (ms: number) => new Date(ms).toISOString().slice(0, 10);
const plus = (day: string, days: number) => iso(Date.parse(day) + days * DAY_MS);

interface Preferences {
  timeZone: string;
  /** hour */
  dayStartsAt: number;
}
/** The learner's day, where the clock is not set about its start. */
const dayOf = (moment: Date, { timeZone, dayStartsAt }: Preferences) =>
  iso(wallClock(moment, timeZone) - dayStartsAt * HOUR_MS);

interface ItemRow {
  id: string;
  state: string;
  stability: number;
  last_reviewed: Date | null;
  next_review: Date;
}
interface ReviewRow {
  item_id: string;
  seq: number;
  rating: number;
  reviewed_at: Date;
  duration_ms: number | null;
}

/** The statistics by the letter of their description, from the rows alone. */
function statsFrom(items: ItemRow[], log: ReviewRow[], preferences: Preferences, from: string, to: string, now: Date) {
  const inOrder = log.toSorted((a, b) => a.reviewed_at.getTime() - b.reviewed_at.getTime() || a.seq - b.seq);
  const last = new Map<string, number>();
  const seen = inOrder.map((review) => {
    const before = last.get(review.item_id);
    last.set(review.item_id, review.reviewed_at.getTime());
    const gap = before === undefined ? undefined : review.reviewed_at.getTime() - before;
    return { ...review, gap, day: dayOf(review.reviewed_at, preferences) };
  });
  const within = seen.filter(({ day }) => day >= from && day <= to);
  const minutes = (reviews: ReviewRow[]) =>
    Math.round(reviews.reduce((sum, { duration_ms }) => sum + (duration_ms ?? 0), 0) / 600) / 100;
  const retention = (least: number, below: number) => {
    const asked = within.filter(({ gap }) => gap !== undefined && gap >= least && gap < below);
    const passed = asked.filter(({ rating }) => rating > 1).length;
    const rate = asked.length === 0 ? null : Math.round((passed / asked.length) * 1e4) / 1e4;
    return { reviews: asked.length, passed, rate };
  };
  const days: { date: string; reviews: number; minutes: number }[] = [];
  for (let date = from; date <= to; date = plus(date, 1)) {
    const reviews = within.filter(({ day }) => day === date);
    days.push({ date, reviews: reviews.length, minutes: minutes(reviews) });
  }
  const studied = new Set(seen.map(({ day }) => day));
  const today = dayOf(now, preferences);
  let streak = 0;
  for (let day = studied.has(today) ? today : plus(today, -1); studied.has(day); day = plus(day, -1)) streak += 1;
  const how = (test: (item: ItemRow) => boolean) => items.filter(test).length;
  return {
    ...{ from, to, timeZone: preferences.timeZone, days, reviews: within.length, minutes: minutes(within), streak },
    trueRetention: {
      all: retention(DAY_MS, Infinity),
      young: retention(DAY_MS, 21 * DAY_MS),
      mature: retention(21 * DAY_MS, Infinity),
    },
    maturity: {
      new: how(({ state }) => state === 'new'),
      learning: how(({ state }) => state === 'learning' || state === 'relearning'),
      young: how(({ state, stability }) => state === 'review' && stability < 21),
      mature: how(({ state, stability }) => state === 'review' && stability >= 21),
    },
  };
}

function forecastFrom(items: ItemRow[], preferences: Preferences, days: number, now: Date) {
  const today = dayOf(now, preferences);
  return {
    days: Array.from({ length: days }, (_, index) => {
      const date = plus(today, index);
      const then = items.filter(({ next_review }) => {
        const day = dayOf(next_review, preferences);
        return day === date || (index === 0 && day < date);
      });
      const due = then.filter(({ last_reviewed }) => last_reviewed !== null).length;
      return { date, due, new: then.length - due };
    }),
  };
}

function dueFrom(items: ItemRow[], dayEnds: Date, limit: number, now: Date): string[] {
  const lateness = ({ last_reviewed, next_review }: ItemRow) =>
    last_reviewed === null
      ? -Infinity
      : (now.getTime() - next_review.getTime()) / 1000 / Math.max((next_review.getTime() - last_reviewed.getTime()) / 1000, 1);
  return items
    .filter(({ state, last_reviewed, next_review }) =>
      last_reviewed !== null && state === 'review' ? next_review < dayEnds : next_review <= now,
    )
    .toSorted((a, b) => {
      const [one, other] = [lateness(a), lateness(b)];
      if (one !== other) return other > one ? 1 : -1;
      return a.next_review.getTime() - b.next_review.getTime() || (a.id < b.id ? -1 : 1);
    })
    .slice(0, limit)
    .map(({ id }) => id);
}

describe('Reads of studying', () => {
  let contexts: TestContexts;
  let pool: Pool;
  beforeAll(async () => {
    contexts = await TestContexts.start();
    pool = await contexts.app.get(Database).pool();
    await contexts.silence();
  });
  afterAll(() => contexts?.stop());
  afterEach(() => jest.restoreAllMocks());

  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  const ask: TestContexts['queries']['execute'] = (query: never) => contexts.queries.execute(query);

  async function newLearner(preferences?: Partial<Preferences>): Promise<Learner> {
    const learner = await contexts.newLearner();
    if (preferences) await prefer(learner, preferences);
    return learner;
  }
  const prefer = (learner: Learner, preferences: object) =>
    contexts.commands.execute(
      new PutProfile(learner, learner.userId, { firstName: 'A', lastName: 'B', preferences: { ...preferences } }),
    );

  const insertItems = ({ userId }: Learner, items: Partial<ItemRow>[]) =>
    rows(
      `insert into study_items (user_id, id, type, content, state, stability, reps, last_reviewed, next_review)
       select $1, coalesce(id, uuid_generate_v4()), 'note', '{}', state, coalesce(stability, 0), (state <> 'new')::int, last_reviewed, next_review
       from jsonb_to_recordset($2) as i (id uuid, state text, stability float8, last_reviewed timestamptz, next_review timestamptz)`,
      [userId, JSON.stringify(items)],
    );
  const insertReviews = ({ userId }: Learner, reviews: (Partial<ReviewRow> & { undone?: boolean })[]) =>
    rows(
      `insert into study_reviews (user_id, id, item_id, seq, client_review_id, rating, reviewed_at, duration_ms, answer, undone_at)
       select $1, uuid_generate_v4(), item_id, seq, seq, coalesce(rating, 3), reviewed_at, duration_ms, '{}', case when undone then now() end
       from jsonb_to_recordset($2) as r (item_id uuid, seq int, rating int, reviewed_at timestamptz, duration_ms int, undone bool)`,
      [userId, JSON.stringify(reviews)],
    );
  const itemsOf = ({ userId }: Learner) =>
    rows<ItemRow>('select id, state, stability, last_reviewed, next_review from study_items where user_id = $1', [userId]);
  const countedOf = ({ userId }: Learner) =>
    rows<ReviewRow>(
      'select item_id, seq, rating, reviewed_at, duration_ms from study_reviews where user_id = $1 and undone_at is null',
      [userId],
    );

  /** Items and reviews around a moment, with everything that may be the same as something else. */
  async function insertRandomStudies(learner: Learner, seed: number, now: Date): Promise<void> {
    const roll = dice(seed);
    const about = (days: number) => new Date(now.getTime() + (roll(2 * days * 96) - days * 96) * 15 * MINUTE_MS);
    const items = Array.from({ length: 60 }, () => {
      const state = ['new', 'learning', 'review', 'review', 'relearning'][roll(5)]!;
      const next = roll(10) === 0 ? now : about([1, 3, 40][roll(3)]!);
      const interval = [0, 1, MINUTE_MS, 10 * MINUTE_MS, DAY_MS, roll(90) * DAY_MS][roll(6)]!;
      return {
        ...{ id: randomUUID(), state, stability: [0.5, 20.999, 21, 22, 400][roll(5)], next_review: next },
        last_reviewed: state === 'new' ? null : new Date(next.getTime() - interval),
      };
    });
    await insertItems(learner, items);
    const reviews = items.slice(0, 12).flatMap(({ id }) =>
      Array.from({ length: roll(25) }, (_, index) => ({
        ...{ item_id: id, seq: index + 1, rating: 1 + roll(4), undone: roll(6) === 0 },
        reviewed_at: roll(8) === 0 ? now : about(roll(2) ? 3 : 45),
        duration_ms: roll(4) === 0 ? null : roll(100_000),
      })),
    );
    await insertReviews(learner, reviews);
  }

  const PLACES: (Preferences & { now: string })[] = [
    { timeZone: 'UTC', dayStartsAt: 4, now: '2026-11-22T12:00:00.000Z' },
    { timeZone: 'Europe/Berlin', dayStartsAt: 4, now: '2026-03-29T01:30:00.000Z' },
    { timeZone: 'Europe/Berlin', dayStartsAt: 0, now: '2026-10-25T01:30:00.000Z' },
    { timeZone: 'America/New_York', dayStartsAt: 4, now: '2026-11-01T06:30:00.000Z' },
    { timeZone: 'Asia/Kolkata', dayStartsAt: 23, now: '2026-05-05T17:29:59.999Z' },
    { timeZone: 'Pacific/Kiritimati', dayStartsAt: 0, now: '2026-12-31T10:00:00.000Z' },
    { timeZone: 'Australia/Lord_Howe', dayStartsAt: 4, now: '2026-04-04T16:00:00.000Z' },
  ];

  describe('what is due', () => {
    const due = async (learner: Learner, limit = 200, now = NOW) => (await ask(new ListDue(learner, limit, now))).value;
    const dueIds = async (...args: Parameters<typeof due>) => (await due(...args)).items.map(({ id }) => id);

    it.each(PLACES.map((place, seed) => [place.timeZone, place.now, place, seed] as const))(
      'ST-6 in %s at %s is what a look at every item finds, in that order',
      async (_, __, { now: moment, ...preferences }, seed) => {
        const [learner, now] = [await newLearner(preferences), new Date(moment)];
        await insertRandomStudies(learner, seed + 1, now);
        const items = await itemsOf(learner);
        const { dayEndsAt } = await due(learner, 1, now);
        expect(dayOf(new Date(dayEndsAt), preferences)).toBe(plus(dayOf(now, preferences), 1));
        expect(dayOf(new Date(Date.parse(dayEndsAt) - 1), preferences)).toBe(dayOf(now, preferences));
        for (const limit of [200, 25, 7, 1]) {
          expect(await dueIds(learner, limit, now)).toEqual(dueFrom(items, new Date(dayEndsAt), limit, now));
        }
        expect((await dueIds(learner, 200, now)).length).toBeGreaterThan(15);
      },
    );

    it('ST-6 comes by how late it is for its interval, then by its time and id, and new items last', async () => {
      const learner = await newLearner();
      const at = (days: number, hours = 0) => new Date(NOW.getTime() + days * DAY_MS + hours * HOUR_MS).toISOString() as never;
      const ids = ['0', '1', '2', '3', '4', '5', '6', '7'].map((digit) => randomUUID().replace(/^./, digit));
      await insertItems(learner, [
        { id: ids[7], state: 'new', next_review: at(-900) },
        { id: ids[6], state: 'review', last_reviewed: at(-1), next_review: at(0, 3) }, // not yet, but today
        { id: ids[5], state: 'review', last_reviewed: at(-110), next_review: at(-10) }, // 10 of 100
        { id: ids[4], state: 'review', last_reviewed: at(-2), next_review: at(-1) }, // 1 of 1
        { id: ids[3], state: 'review', last_reviewed: at(-4), next_review: at(-2) }, // 2 of 2, but earlier
        { id: ids[2], state: 'review', last_reviewed: at(-4), next_review: at(-2) }, // the same, by id
        { id: ids[1], state: 'learning', last_reviewed: at(-1), next_review: at(-1, 0.2) },
      ]);
      expect(await dueIds(learner)).toEqual([ids[1], ids[2], ids[3], ids[4], ids[5], ids[6], ids[7]]);
    });

    it('ST-6 has a learning step only when its minutes have passed, and a review all day', async () => {
      const learner = await newLearner();
      const [id, later] = [randomUUID(), randomUUID()];
      await contexts.commands.execute(new AddStudyItem(learner, { ...flashcard, id }, NOW));
      await contexts.commands.execute(new ReviewItem(learner, id, { clientReviewId: 'a', rating: 3 }, NOW));
      const after = (ms: number) => new Date(NOW.getTime() + ms);
      expect(await dueIds(learner, 200, after(10 * MINUTE_MS - 1))).toEqual([]);
      expect(await dueIds(learner, 200, after(10 * MINUTE_MS))).toEqual([id]);
      await insertItems(learner, [
        { id: later, state: 'review', last_reviewed: NOW, next_review: new Date('2026-11-23T03:59:59.999Z') },
      ]);
      expect(await dueIds(learner)).toEqual([later]);
      await rows(`update study_items set next_review = '2026-11-23T04:00:00Z' where id = $1`, [later]);
      expect(await dueIds(learner)).toEqual([]);
      expect(await dueIds(learner, 200, new Date('2026-11-23T03:59:59.999Z'))).toEqual([id]);
      expect(await dueIds(learner, 200, new Date('2026-11-23T04:00:00.000Z'))).toEqual([id, later]);
    });

    it.each([
      // The clock goes forward at 2:00 (1:00 UTC), so that 2:30 never comes; and back at 3:00 (1:00 UTC), so that 2:30 comes twice.
      ['04:00', '2026-03-28T23:00:00Z', '2026-03-29T02:00:00.000Z'],
      ['04:00', '2026-03-29T02:00:00Z', '2026-03-30T02:00:00.000Z'],
      ['02:30', '2026-03-29T00:59:59Z', '2026-03-29T01:00:00.000Z'],
      ['02:30', '2026-03-29T01:00:00Z', '2026-03-30T00:30:00.000Z'],
      ['00:00', '2026-03-29T12:00:00Z', '2026-03-29T22:00:00.000Z'],
      ['04:00', '2026-10-24T12:00:00Z', '2026-10-25T03:00:00.000Z'],
      ['04:00', '2026-10-25T03:00:00Z', '2026-10-26T03:00:00.000Z'],
      ['02:30', '2026-10-25T00:29:59Z', '2026-10-25T00:30:00.000Z'],
      ['02:30', '2026-10-25T01:30:00Z', '2026-10-26T01:30:00.000Z'],
    ])('ST-6 ends in Berlin with the day that starts at %s, when it is %s, at %s', async (dayStartsAt, now, ends) => {
      const learner = await newLearner({ timeZone: 'Europe/Berlin', dayStartsAt: dayStartsAt as never });
      const [inside, outside] = [randomUUID(), randomUUID()];
      const last_reviewed = new Date('2026-01-01');
      await insertItems(learner, [
        { id: inside, state: 'review', last_reviewed, next_review: new Date(Date.parse(ends) - 1) },
        { id: outside, state: 'review', last_reviewed, next_review: new Date(ends) },
      ]);
      const { items, dayEndsAt } = await due(learner, 10, new Date(now));
      expect([dayEndsAt, items.map(({ id }) => id)]).toEqual([ends, [inside]]);
    });

    it('ST-6 goes by preferences as soon as they are changed', async () => {
      const learner = await newLearner({ timeZone: 'Europe/Berlin' });
      expect((await due(learner)).dayEndsAt).toBe('2026-11-23T03:00:00.000Z');
      await prefer(learner, { timeZone: 'Asia/Tokyo', dayStartsAt: '00:00' });
      expect((await due(learner)).dayEndsAt).toBe('2026-11-22T15:00:00.000Z');
    });
  });

  it('PF-5 of large items is a page that fits into memory, and the next begins where it ends', async () => {
    const learner = await newLearner();
    const large = (nr: number) => ({
      ...flashcard,
      content: { front: `${nr}`, back: 'x'.repeat(60_000), more: `${nr}`.repeat(900_000) },
    });
    for (const from of [0, 4, 8]) {
      const lines = [0, 1, 2, 3].map((nr) => ({
        line: nr + 1,
        bytes: 1,
        value: { id: randomUUID(), ...large((from + nr) % 10) },
      }));
      expect((await contexts.commands.execute(new ImportStudyItems(learner, lines, undefined, NOW))).value.rejected).toEqual(
        [],
      );
    }
    const seen = new Set<string>();
    const pages: number[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page = (await ask(new ListStudyItems(learner, {}, { limit: 200, cursor }))).value;
      for (const { id } of page.items) seen.add(id);
      pages.push(page.items.length);
      cursor = page.nextCursor;
    }
    expect([seen.size, pages]).toEqual([12, [9, 3]]);
    expect((await ask(new ListDue(learner, 200, NOW))).value.items).toHaveLength(9);
  });

  describe('statistics', () => {
    it.each(PLACES.map((place, seed) => [place.timeZone, place.now, place, seed] as const))(
      'ST-7 in %s at %s are what the log says, whatever the period',
      async (_, __, { now: moment, ...preferences }, seed) => {
        const [learner, now] = [await newLearner(preferences), new Date(moment)];
        await insertRandomStudies(learner, 100 + seed, now);
        const [items, log] = [await itemsOf(learner), await countedOf(learner)];
        const today = dayOf(now, preferences);
        const periods: [from?: string, to?: string][] = [
          [],
          [today, today],
          [plus(today, -1), plus(today, 1)],
          [plus(today, -365), today],
          [undefined, plus(today, -3)],
          [plus(today, -50), plus(today, 50)],
        ];
        for (const [from, to] of periods) {
          const last = to ?? today;
          const stats = (await ask(new GetStats(learner, { from, to }, undefined, now))).value;
          expect(stats).toEqual(statsFrom(items, log, preferences, from ?? plus(last, -29), last, now));
        }
        for (const days of [1, 2, 30, 366]) {
          const forecast = (await ask(new GetForecast(learner, days, undefined, now))).value;
          expect(forecast).toEqual(forecastFrom(items, preferences, days, now));
        }
      },
    );

    it.each([
      [1, 0],
      [1, 1],
      [1, 2],
      [126, 1],
      [127, 0],
      [127, 1],
      [128, 0],
      [129, 0],
      [255, 1],
      [256, 0],
      [600, 1],
    ])(
      'ST-7 a streak of %i days, the last of them %i days ago, is as long, across the change of clocks too',
      async (length, last) => {
        const preferences = { timeZone: 'Europe/Berlin', dayStartsAt: 4 };
        const learner = await newLearner(preferences);
        const now = new Date('2026-04-02T10:00:00.000Z');
        const item_id = randomUUID();
        await insertItems(learner, [{ id: item_id, state: 'new', next_review: now }]);
        // At the very ends of its day: 04:00 and 03:59 by the clock of Berlin.
        const reviews = Array.from({ length }, (_, index) => {
          const shown = Date.parse('2026-04-02T04:00Z') - (last + index) * DAY_MS + (index % 2) * (DAY_MS - MINUTE_MS);
          const moment = [1, 2]
            .map((hours) => new Date(shown - hours * HOUR_MS))
            .find((at) => wallClock(at, 'Europe/Berlin') === shown)!;
          return { item_id, seq: index + 1, reviewed_at: moment };
        });
        // Undone ones carry no streak.
        reviews.push({ item_id, seq: length + 1, reviewed_at: new Date(reviews.at(-1)!.reviewed_at.getTime() - DAY_MS) });
        await insertReviews(
          learner,
          reviews.map((review) => ({ ...review, undone: review.seq > length })),
        );
        const { streak } = (await ask(new GetStats(learner, {}, undefined, now))).value;
        expect(streak).toBe(last > 1 ? 0 : length);
      },
    );

    it('are refused for periods that end before they begin, or are longer than a year', async () => {
      const learner = await newLearner();
      const codeOf = (from: string, to: string) =>
        ask(new GetStats(learner, { from, to })).then(
          () => 'done',
          ({ code }: { code: string }) => code,
        );
      expect(await codeOf('2026-01-02', '2026-01-01')).toBe('VALIDATION_FAILED');
      expect(await codeOf('2026-01-01', '2026-01-01')).toBe('done');
      expect(await codeOf('2024-01-01', '2024-12-31')).toBe('done');
      expect(await codeOf('2025-01-01', '2026-01-02')).toBe('RANGE_TOO_LARGE');
    });

    it('of days at the ends of time are empty days', async () => {
      for (const timeZone of ['UTC', 'Pacific/Kiritimati', 'America/Los_Angeles']) {
        const learner = await newLearner({ timeZone });
        for (const [from, to] of [
          ['0000-01-01', '0000-02-01'],
          ['0001-01-01', '0001-01-01'],
          ['9999-12-01', '9999-12-31'],
        ]) {
          const stats = (await ask(new GetStats(learner, { from, to }, undefined, NOW))).value;
          expect([stats.days[0]!.date, stats.days.at(-1)!.date, stats.reviews]).toEqual([from, to, 0]);
        }
        expect((await ask(new GetStats(learner, { to: '0000-01-01' }))).value.days).toHaveLength(30);
      }
    });

    it('ST-7 are cached, and never older than what was done last, with a read token and without', async () => {
      const learner = await newLearner();
      let preferences: Preferences = { timeZone: 'UTC', dayStartsAt: 4 };
      const read = async (readToken?: string) => ({
        stats: (await ask(new GetStats(learner, {}, readToken, NOW))).value,
        forecast: (await ask(new GetForecast(learner, 7, readToken, NOW))).value,
      });
      const expected = async () => {
        const [items, log] = [await itemsOf(learner), await countedOf(learner)];
        const today = dayOf(NOW, preferences);
        return {
          stats: statsFrom(items, log, preferences, plus(today, -29), today, NOW),
          forecast: forecastFrom(items, preferences, 7, NOW),
        };
      };
      const [one, other] = [randomUUID(), randomUUID()];
      const given = (clientReviewId: string, days: number) => ({
        ...{ clientReviewId, rating: 3, durationMs: 30_000 },
        reviewedAt: new Date(NOW.getTime() - days * DAY_MS),
      });
      const reviews = [given('x', 3)];
      const commands = [
        new AddStudyItem(learner, { ...flashcard, id: one }, NOW),
        new ReviewItem(learner, one, given('a', 2), NOW),
        new ReviewItem(learner, one, given('b', 0), NOW),
        new ReviewItem(learner, one, given('c', 1), NOW),
        new UndoReview(learner, one, NOW),
        new ImportStudyItems(learner, [{ line: 1, bytes: 1, value: { ...flashcard, id: other, reviews } }], undefined, NOW),
        new ChangeStudyItem(learner, one, { tags: ['x'] }),
        new DeleteStudyItem(learner, other),
        new UndoReview(learner, one, NOW),
        new PutProfile(learner, learner.userId, { firstName: 'A', lastName: 'B', preferences: { timeZone: 'Asia/Tokyo' } }),
      ];
      await read();
      for (const withToken of [true, false]) {
        for (const command of withToken ? commands : commands.slice(0, -1)) {
          const { readToken } = await contexts.commands.execute<{ readToken: string }>(command as never);
          if (command instanceof PutProfile) preferences = { ...preferences, timeZone: 'Asia/Tokyo' };
          const now = await read(withToken ? readToken : undefined);
          expect([command.constructor.name, now]).toEqual([command.constructor.name, await expected()]);
          await read(readToken);
          const acquired = jest.fn();
          pool.on('acquire', acquired);
          expect(await read(withToken ? readToken : undefined)).toEqual(now);
          pool.off('acquire', acquired);
          expect(acquired).not.toHaveBeenCalled();
        }
        await contexts.commands.execute(new DeleteStudyItem(learner, one));
      }
    });
  });

  describe('among a hundred thousand items', () => {
    let learner: Learner;
    let itemId: string;
    beforeAll(async () => {
      await rows(`
        insert into users (id, email, password_hash)
          select md5('learner' || u)::uuid, 'learner-' || u || '@example.org', '$argon2id$not-a-real-one' from generate_series(1, 100) u`);
      await rows(`
        insert into study_items (user_id, id, type, content, state, reps, stability, last_reviewed, next_review, created_at)
          select md5('learner' || (n % 100 + 1))::uuid, md5('item' || n)::uuid, 'note', '{"markdown":"x"}',
            case when n % 1000 < 200 then 'new' else 'review' end, (n % 1000 >= 200)::int, 30,
            case when n % 1000 >= 200 then timestamptz '2026-09-01' + n % 997 * interval '1 minute' end,
            timestamptz '2026-10-01' + n % 991 * interval '6 hours', timestamptz '2026-01-01' + n * interval '1 minute'
          from generate_series(1, 100000) n`);
      await rows(`
        insert into study_reviews (user_id, id, item_id, seq, client_review_id, rating, reviewed_at, answer)
          select user_id, md5('review' || i.id || nr)::uuid, i.id, nr, nr, 3, timestamptz '2026-01-01' + nr * interval '7 days', '{}'
          from study_items i join users u on u.id = i.user_id, generate_series(1, 3) nr
          where last_reviewed is not null and email like 'learner-%'`);
      await rows('vacuum (analyze) study_items, study_reviews, users');
      const [known] = await rows<{ userId: string; itemId: string }>(
        `select user_id as "userId", id as "itemId" from study_items
         where last_reviewed is not null and user_id = md5('learner1')::uuid limit 1`,
      );
      learner = { userId: known!.userId, role: 'STUDENT' };
      itemId = known!.itemId;
    }, 120_000);

    interface Plan {
      'Node Type': string;
      'Relation Name'?: string;
      'Index Name'?: string;
      Plans?: Plan[];
    }
    const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

    const asText = (value: unknown): string => {
      if (Array.isArray(value)) return `{${value.map(asText).join(',')}}`;
      return value instanceof Date ? value.toISOString() : String(value);
    };

    /** The plans of what a query asks of PostgreSQL about studies, as the application's role: for its values, and for any. */
    async function plansOf(work: () => Promise<unknown>): Promise<Record<'custom' | 'generic', Plan[]>> {
      const query = jest.spyOn(Client.prototype, 'query');
      await work();
      const asked = (query.mock.calls as unknown[][])
        .map(([text, values]) => (typeof text === 'string' ? { text, values } : text) as { text: string; values: unknown[] })
        .filter(({ text }) => /from study_/.test(text));
      query.mockRestore();
      const plans: Record<'custom' | 'generic', Plan[]> = { custom: [], generic: [] };
      await withClient(contexts.database.url, async (client) => {
        await client.query(`begin; set local role studently_app; set local app.user_id = '${learner.userId}'`);
        for (const { text, values } of asked) {
          const literals = values.map((value) => (value === null ? 'null' : client.escapeLiteral(asText(value))));
          await client.query(`prepare asked as ${text}`);
          for (const mode of ['custom', 'generic'] as const) {
            await client.query(`set local plan_cache_mode = force_${mode}_plan`);
            const { rows: answer } = await client.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(
              `explain (format json) execute asked (${literals.join(', ')})`,
            );
            plans[mode].push(...nodes(answer[0]!['QUERY PLAN'][0]!.Plan));
          }
          await client.query('deallocate asked');
        }
      });
      return plans;
    }

    it.each<[what: string, work: () => Promise<unknown>, indexes: string[]]>([
      [
        'ST-6 what is due',
        () => ask(new ListDue(learner, 50, NOW)),
        ['study_items_due', 'study_items_new', 'study_items_pkey'],
      ],
      ['the newest items', () => ask(new ListStudyItems(learner, {}, { limit: 50 })), ['study_items_newest']],
      ['one item', () => ask(new GetStudyItem(learner, itemId)), ['study_items_pkey']],
      [
        'the log of an item',
        () => ask(new ListReviews(learner, itemId, { limit: 50 })),
        ['study_items_pkey', 'study_reviews_dense'],
      ],
      [
        'the statistics',
        () => ask(new GetStats(learner, { from: '2026-01-01', to: '2026-01-14' }, undefined, NOW)),
        ['study_reviews_by_time'],
      ],
      ['the forecast', () => ask(new GetForecast(learner, 30, undefined, NOW)), []],
    ])('TU-4 %s is found by indexes alone', async (_, work, indexes) => {
      for (const plans of Object.values(await plansOf(work))) {
        expect(plans.length).toBeGreaterThan(1);
        const scanned = plans.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => node['Relation Name']);
        expect(scanned).toEqual([]);
        const used = new Set(plans.map((node) => node['Index Name']).filter((name) => name !== undefined));
        for (const index of indexes) expect([...used]).toContain(index);
      }
    });

    it('TU-4 what is due is looked up in the table only for what is shown', async () => {
      const { custom: plans } = await plansOf(() => ask(new ListDue(learner, 50, NOW)));
      const due = plans.filter((node) => /^study_items_(due|new)$/.test(node['Index Name'] ?? ''));
      expect(due.map((node) => node['Node Type'])).toEqual(['Index Only Scan', 'Index Only Scan']);
    });

    it('TU-4 without its index what is due is not found by it: these tests can fail', async () => {
      await rows('alter index study_items_due rename to hidden');
      await rows(`update pg_index set indisvalid = false where indexrelid = 'hidden'::regclass`);
      try {
        const { custom: plans } = await plansOf(() => ask(new ListDue(learner, 50, NOW)));
        expect(plans.map((node) => node['Index Name'])).not.toContain('study_items_due');
      } finally {
        await rows(`update pg_index set indisvalid = true where indexrelid = 'hidden'::regclass`);
        await rows('alter index hidden rename to study_items_due');
      }
    });
  });
});
