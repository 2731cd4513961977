import fc from 'fast-check';
import { DateTime } from 'luxon';
import { bucketBoundaries, BUCKETS, type Bucket } from './progress-series';
import { RangeTooLarge } from './study.errors';
import { StudyCalendar } from './study-day';

const HOUR_MS = 60 * 60 * 1000;
const boundaries = (bucket: Bucket, timeZone: string, from: string, to: string) =>
  bucketBoundaries(bucket, StudyCalendar.of({ timeZone, dayStartsAt: 0 }), new Date(from), new Date(to)).map((start) =>
    DateTime.fromJSDate(start, { zone: timeZone }).toFormat(`yyyy-MM-dd'T'HH:mmZZ`),
  );

describe('OV-5 Buckets', () => {
  it('are weeks from Monday, days from midnight and hours by the clock', () => {
    expect(boundaries('week', 'Europe/Berlin', '2026-03-29T10:00:00Z', '2026-03-30T10:00:00Z')).toEqual([
      '2026-03-23T00:00+01:00',
      '2026-03-30T00:00+02:00',
      '2026-04-06T00:00+02:00',
    ]);
    expect(boundaries('day', 'America/Havana', '2026-10-31T12:00:00Z', '2026-11-01T12:00:00Z')).toEqual([
      '2026-10-31T00:00-04:00',
      '2026-11-01T00:00-04:00', // midnight is there twice: the first one counts
      '2026-11-02T00:00-05:00',
    ]);
    expect(boundaries('hour', 'Asia/Kolkata', '2026-01-01T00:00:00Z', '2026-01-01T00:30:00Z')).toEqual([
      '2026-01-01T05:00+05:30',
      '2026-01-01T06:00+05:30',
    ]);
  });

  it('of an hour are shorter where the clock is set by half of one, and there twice where it is set back by a whole one', () => {
    expect(boundaries('hour', 'Australia/Lord_Howe', '2026-10-03T15:45:00Z', '2026-10-03T16:30:00Z')).toEqual([
      '2026-10-04T02:30+11:00', // 02:00 is left out
      '2026-10-04T03:00+11:00',
      '2026-10-04T04:00+11:00',
    ]);
    expect(boundaries('hour', 'Australia/Lord_Howe', '2026-04-04T14:30:00Z', '2026-04-04T15:15:00Z')).toEqual([
      '2026-04-05T01:00+11:00',
      '2026-04-05T01:30+10:30', // 02:00 is set back
      '2026-04-05T02:00+10:30',
    ]);
    expect(boundaries('hour', 'Europe/Berlin', '2026-10-25T00:00:00Z', '2026-10-25T02:00:00Z')).toEqual([
      '2026-10-25T02:00+02:00',
      '2026-10-25T02:00+01:00',
      '2026-10-25T03:00+01:00',
    ]);
  });

  it('leave out the day that Apia left out', () => {
    expect(boundaries('day', 'Pacific/Apia', '2011-12-29T12:00:00Z', '2011-12-30T12:00:00Z')).toEqual([
      '2011-12-29T00:00-10:00',
      '2011-12-31T00:00+14:00',
      '2011-12-31T00:00+14:00',
      '2012-01-01T00:00+14:00',
    ]);
  });

  it('are 2,000 at most', () => {
    const hours = (count: number) => () =>
      boundaries('hour', 'UTC', '2026-01-01T00:00:00Z', new Date(Date.UTC(2026, 0, 1) + count * HOUR_MS).toISOString());
    expect(hours(2000)()).toHaveLength(2001);
    expect(hours(2001)).toThrow(RangeTooLarge);
  });

  it('cover a period without a gap, and no more than it takes', () => {
    const most = { hour: 1, day: 25, week: 7 * 24 + 1 };
    fc.assert(
      fc.property(
        fc.constantFrom(...BUCKETS),
        fc.constantFrom(...Intl.supportedValuesOf('timeZone')),
        fc.date({ min: new Date('2000-01-01'), max: new Date('2037-01-01'), noInvalidDate: true }),
        fc.integer({ min: 0, max: 200 * HOUR_MS }),
        (bucket, timeZone, from, length) => {
          const to = new Date(from.getTime() + length);
          const starts = bucketBoundaries(bucket, StudyCalendar.of({ timeZone, dayStartsAt: 0 }), from, to).map(Number);
          expect(starts.at(0)!).toBeLessThanOrEqual(from.getTime());
          expect(starts.at(1)!).toBeGreaterThan(from.getTime());
          expect(starts.at(-1)!).toBeGreaterThanOrEqual(to.getTime());
          if (length > 0) expect(starts.at(-2)!).toBeLessThan(to.getTime());
          for (const [index, end] of starts.slice(1).entries()) {
            const hours = (end - starts[index]!) / HOUR_MS;
            expect(hours >= 0 && hours <= most[bucket]).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
