import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { PutProfile } from '@studently/identity';
import type { Learner } from '@studently/platform';
import {
  BUCKETS,
  ChangeProgress,
  DeleteProgress,
  GetProgress,
  GetProgressSeries,
  ListProgress,
  RecordProgress,
  type Bucket,
  type ProgressFilter,
  type ProgressSeries,
} from '@studently/study';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

interface Entry {
  timestamp: Date;
  score: number;
  category: string;
}

/** Zones whose clock was set in 2026, in whole hours. In spring and autumn, northern and southern. */
const CLOCK_IS_SET: Record<string, string[]> = {
  'Europe/Berlin': ['2026-03-29', '2026-10-25'],
  'America/New_York': ['2026-03-08', '2026-11-01'],
  'America/Santiago': ['2026-04-05', '2026-09-06'], // at midnight
  'Australia/Adelaide': ['2026-04-05', '2026-10-04'], // half an hour from UTC's hours
  'Asia/Kolkata': ['2026-03-29', '2026-10-25'], // never
};

describe('OV-5 Progress', () => {
  let contexts: TestContexts;
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  beforeAll(async () => {
    contexts = await TestContexts.start();
  });
  afterAll(() => contexts?.stop());

  async function learnerIn(timeZone: string): Promise<Learner> {
    const learner = await contexts.newLearner();
    const profile = { firstName: 'Ada', lastName: 'Lovelace', preferences: { timeZone, dayStartsAt: '05:00' } };
    await contexts.commands.execute(new PutProfile(learner, learner.userId, profile));
    return learner;
  }
  const insert = ({ userId }: Learner, entries: Entry[]) =>
    rows(
      `insert into progress (user_id, "timestamp", score, category)
       select $1, * from unnest($2::timestamptz[], $3::float8[], $4::text[])`,
      [
        userId,
        entries.map(({ timestamp }) => timestamp),
        entries.map(({ score }) => score),
        entries.map(({ category }) => category),
      ],
    );
  const seriesOf = async (learner: Learner, bucket: Bucket, filter: ProgressFilter) =>
    (await contexts.queries.execute(new GetProgressSeries(learner, filter, bucket))).value;

  /** The same by other means: each raw row put into its bucket by luxon alone. */
  async function recomputed(learner: Learner, bucket: Bucket, timeZone: string, from: Date, to: Date, category?: string) {
    const raw = await rows<{ timestamp: Date; score: number }>(
      `select "timestamp", score from progress where user_id = $1 and ($2::text is null or category = $2)`,
      [learner.userId, category ?? null],
    );
    const buckets = new Map<number, { end: DateTime; scores: number[] }>();
    for (const { timestamp, score } of raw.filter((row) => row.timestamp >= from && row.timestamp < to)) {
      const start = DateTime.fromJSDate(timestamp, { zone: timeZone }).startOf(bucket);
      const known = buckets.get(start.toMillis()) ?? { end: start.plus({ [bucket]: 1 }).startOf(bucket), scores: [] };
      buckets.set(start.toMillis(), known);
      known.scores.push(score);
    }
    return [...buckets]
      .sort(([a], [b]) => a - b)
      .map(([start, { end, scores }]) => ({
        start: new Date(start).toISOString(),
        end: end.toJSDate().toISOString(),
        count: scores.length,
        mean: expect.closeTo(scores.reduce((sum, score) => sum + score, 0) / scores.length, 9),
        min: Math.min(...scores),
        max: Math.max(...scores),
      }));
  }

  it.each(Object.entries(CLOCK_IS_SET))(
    'in %s the series is what the raw rows give, around the days on which the clock is set too',
    async (timeZone, days) => {
      const learner = await learnerIn(timeZone);
      const stranger = await learnerIn(timeZone);
      const around = (day: string, hours: number) => new Date(Date.parse(day) + hours * 3_600_000);
      // Half of them on full quarters of an hour, so that some lie exactly on a boundary.
      const hours = fc.oneof(
        fc.double({ min: -30, max: 54, noNaN: true }),
        fc.integer({ min: -120, max: 216 }).map((n) => n / 4),
      );
      const entry = fc.record({
        timestamp: fc.tuple(fc.constantFrom(...days), hours).map(([day, at]) => around(day, at)),
        score: fc.oneof(fc.double({ min: 0, max: 100, noNaN: true }), fc.constantFrom(0, 0.1, 100)),
        category: fc.constantFrom('algebra', 'geometry'),
      });
      const entries = fc.sample(entry, { numRuns: 400, seed: 7 });
      await insert(learner, entries);
      await insert(stranger, entries.slice(0, 50));

      let seen = 0;
      for (const bucket of BUCKETS) {
        for (const category of [undefined, 'geometry', 'nothing']) {
          for (const day of days) {
            for (const [first, last] of [
              [-30, 54],
              [-7.3, 30.01],
            ] as const) {
              const [from, to] = [around(day, first), around(day, last)];
              const filter = { category, from: from.toISOString(), to: to.toISOString() };
              const answer = await seriesOf(learner, bucket, filter);
              expect(answer).toEqual({
                bucket,
                timeZone,
                series: await recomputed(learner, bucket, timeZone, from, to, category),
              });
              seen += answer.series.length;
            }
          }
        }
      }
      expect(seen).toBeGreaterThan(200);

      // And the sum of it all is the raw sum.
      const total = ({ series }: ProgressSeries) => series.reduce((sum, { count, mean }) => sum + count * mean, 0);
      const [raw] = await rows<{ sum: number }>('select sum(score) from progress where user_id = $1', [learner.userId]);
      for (const bucket of ['day', 'week'] as const) {
        const whole = await seriesOf(learner, bucket, { from: '2026-01-01', to: '2027-01-01' });
        expect(total(whole)).toBeCloseTo(raw!.sum, 6);
        expect(whole.series.map(({ start }) => start)).toEqual(whole.series.map(({ start }) => start).toSorted());
      }
    },
  );

  it('the mean of equal scores is that score, whatever floats make of their sum', async () => {
    const learner = await learnerIn('UTC');
    const equal = (score: number, count: number): Entry[] =>
      Array.from({ length: count }, () => ({ score, timestamp: new Date('2026-05-05T05:05:05Z'), category: String(score) }));
    for (const score of [0.1, 0.7, 33.333333333333336, 99.99]) {
      await insert(learner, equal(score, 31));
      const { series } = await seriesOf(learner, 'day', { category: String(score), from: '2026-05-01', to: '2026-06-01' });
      expect(series).toMatchObject([{ count: 31, mean: score, min: score, max: score }]);
    }
  });

  it('goes by the zone that the learner has now', async () => {
    const learner = await learnerIn('Pacific/Auckland');
    await insert(learner, [{ timestamp: new Date('2026-06-01T11:59:59.999Z'), score: 1, category: 'a' }]);
    await insert(learner, [{ timestamp: new Date('2026-06-01T12:00:00Z'), score: 2, category: 'a' }]);
    const period = { from: '2026-06-01', to: '2026-06-02' };
    expect((await seriesOf(learner, 'day', period)).series).toMatchObject([{ start: '2026-05-31T12:00:00.000Z', count: 1 }]);
    const profile = { firstName: 'Ada', lastName: 'Lovelace' };
    const { readToken } = await contexts.commands.execute(new PutProfile(learner, learner.userId, profile));
    const inUtc = await contexts.queries.execute(new GetProgressSeries(learner, period, 'day', readToken));
    expect(inUtc.value).toMatchObject({ timeZone: 'UTC', series: [{ start: '2026-06-01T00:00:00.000Z', count: 2 }] });
  });

  it('DC-4 the next read shows every change', async () => {
    const learner = await contexts.newLearner();
    const id = randomUUID();
    const get = async () => (await contexts.queries.execute(new GetProgress(learner, id))).value;
    await expect(get()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await contexts.commands.execute(new RecordProgress(learner, { id, category: 'algebra', score: 1 }));
    expect(await get()).toMatchObject({ score: 1, version: 1 });
    await contexts.commands.execute(new ChangeProgress(learner, id, { score: 2 }));
    expect(await get()).toMatchObject({ score: 2, version: 2 });
    await contexts.commands.execute(new DeleteProgress(learner, id));
    await expect(get()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('ST-11 has the time of the clock that it is given, or a time near that', async () => {
    const learner = await contexts.newLearner();
    const now = new Date('2026-07-07T07:07:07.777Z');
    const record = async (offsetMs?: number) => {
      const timestamp = offsetMs === undefined ? undefined : new Date(now.getTime() + offsetMs);
      const entry = { id: randomUUID(), category: 'algebra', score: 1, timestamp };
      return (await contexts.commands.execute(new RecordProgress(learner, entry, now))).value.timestamp;
    };
    expect(await record()).toBe(now.toISOString());
    expect(await record(300_000)).toBe('2026-07-07T07:12:07.777Z');
    expect(await record(-300_000)).toBe('2026-07-07T07:02:07.777Z');
    for (const offset of [300_001, -300_001, 1e12]) await expect(record(offset)).rejects.toMatchObject({ code: 'CLOCK_SKEW' });
    const [raw] = await rows<{ near: boolean }>(
      `insert into progress (user_id, category, score) values ($1, 'raw', 1) returning abs(extract(epoch from clock_timestamp() - "timestamp")) < 5 as near`,
      [learner.userId],
    );
    expect(raw!.near).toBe(true);
  });

  it('ST-10 ST-12 every score and every metadata that the entity takes, PostgreSQL takes and gives back', async () => {
    const learner = await contexts.newLearner();
    const json = fc.json({ maxDepth: 3 }).filter((text) => !text.includes('\\u0000'));
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0, max: 100, noNaN: true }).map((score) => score + 0), // without -0, which is 0 in JSON
        json.map((text): Record<string, unknown> => ({ 'a key': JSON.parse(text) })),
        async (score, metadata) => {
          const id = randomUUID();
          const entry = { id, category: 'x', score, metadata };
          const { value } = await contexts.commands.execute(new RecordProgress(learner, entry));
          expect(value.score).toBe(score);
          expect(value.metadata).toEqual(metadata);
          expect((await contexts.commands.execute(new RecordProgress(learner, entry))).existed).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each([
    ['score', ['NaN', 'Infinity', '-Infinity', '-0.0001', '100.0001']],
    ['metadata', ['[]', '1', '"x"', 'null']],
    ['category', ['', 'x'.repeat(65)]],
  ])('ST-9 ST-10 ST-12 raw SQL is refused a bad %s', async (column, values) => {
    const learner = await contexts.newLearner();
    const good = { category: 'algebra', score: '50', metadata: '{}' };
    for (const value of values) {
      const { category, score, metadata } = Object.assign({ ...good }, { [column]: value });
      await expect(
        rows(`insert into progress (user_id, category, score, metadata) values ($1, $2, $3, $4)`, [
          learner.userId,
          category,
          score,
          metadata,
        ]),
      ).rejects.toMatchObject({ code: '23514', constraint: `progress_${column}_check` });
    }
  });

  it('ST-9 a series of one category reads the index that is made for it, and the list its own', async () => {
    const learner = await contexts.newLearner();
    await rows(
      `insert into progress (user_id, category, score, "timestamp")
       select $1, 'category ' || n % 50, n % 100, now() - n * interval '1 minute' from generate_series(1, 20000) n`,
      [learner.userId],
    );
    await rows('analyze progress');
    const planOf = async (text: string) =>
      JSON.stringify(await rows(`explain (format json) ${text.replaceAll('$1', `'${learner.userId}'`)}`));
    expect(
      await planOf(
        `select avg(score) from progress where user_id = $1 and category = 'category 7' and "timestamp" >= now() - interval '1 day'`,
      ),
    ).toContain('"progress_series"');
    expect(await planOf('select * from progress where user_id = $1 order by created_at desc, id desc limit 50')).toContain(
      '"progress_newest"',
    );
    const { items } = (await contexts.queries.execute(new ListProgress(learner, {}, { limit: 200 }))).value;
    expect(items).toHaveLength(200);
  });
});
