import fc from 'fast-check';
import { StudyCalendar } from './study-day';

const calendar = (timeZone: string, dayStartsAt: unknown = '04:00') => StudyCalendar.of({ timeZone, dayStartsAt });
const start = (timeZone: string, day: string, dayStartsAt?: unknown) =>
  calendar(timeZone, dayStartsAt).startOf(day).toISOString();
const hours = (timeZone: string, day: string, dayStartsAt?: unknown) => {
  const [from, to] = calendar(timeZone, dayStartsAt).boundaries(day, day);
  return (to!.getTime() - from!.getTime()) / 3_600_000;
};

describe('StudyCalendar', () => {
  it('begins the day at four in UTC, if nothing is said', () => {
    const { timeZone, dayStartsAt } = StudyCalendar.of({});
    expect({ timeZone, dayStartsAt }).toEqual({ timeZone: 'UTC', dayStartsAt: '04:00' });
  });

  it.each([
    ['08:30', '08:30'],
    [0, '00:00'],
    [23, '23:00'],
    ['4:00', '04:00'],
    ['24:00', '04:00'],
    ['22:60', '04:00'],
    [24, '04:00'],
    [-1, '04:00'],
    [2.5, '04:00'],
    [null, '04:00'],
    [{ hour: 5 }, '04:00'],
  ])('reads the start %j as %s', (dayStartsAt, read) => {
    expect(StudyCalendar.of({ dayStartsAt }).dayStartsAt).toBe(read);
  });

  it.each(['Mars/Olympus', '+02:00', '-0530', '', ' Europe/Berlin', 7, null, ['Europe/Berlin'], { toString: 'x' }, 'UTC+1'])(
    'reads the zone %j as UTC',
    (timeZone) => {
      expect(StudyCalendar.of({ timeZone }).timeZone).toBe('UTC');
    },
  );

  it.each([
    // zone, day, its first moment, its hours
    ['Europe/Berlin', '2026-03-28', '2026-03-28T03:00:00.000Z', 23],
    ['Europe/Berlin', '2026-03-29', '2026-03-29T02:00:00.000Z', 24],
    ['Europe/Berlin', '2026-10-24', '2026-10-24T02:00:00.000Z', 25],
    ['Europe/Berlin', '2026-10-25', '2026-10-25T03:00:00.000Z', 24],
    ['America/New_York', '2026-03-07', '2026-03-07T09:00:00.000Z', 23],
    ['America/New_York', '2026-03-08', '2026-03-08T08:00:00.000Z', 24],
    ['America/New_York', '2026-10-31', '2026-10-31T08:00:00.000Z', 25],
    ['Asia/Kolkata', '2026-03-29', '2026-03-28T22:30:00.000Z', 24],
    ['Australia/Lord_Howe', '2026-04-04', '2026-04-03T17:00:00.000Z', 24.5],
    ['Australia/Lord_Howe', '2026-10-03', '2026-10-02T17:30:00.000Z', 23.5],
    ['Pacific/Apia', '2011-12-29', '2011-12-29T14:00:00.000Z', 20],
  ])('in %s starts %s at %s, for %d hours', (timeZone, day, firstMoment, length) => {
    expect(start(timeZone, day)).toBe(firstMoment);
    expect(hours(timeZone, day)).toBe(length);
  });

  it('starts at the first moment after the gap that swallows its start', () => {
    // 02:00–03:00 is left out there and then
    expect(start('Europe/Berlin', '2026-03-29', '02:30')).toBe('2026-03-29T01:00:00.000Z');
    expect(start('America/New_York', '2026-03-08', '02:30')).toBe('2026-03-08T07:00:00.000Z');
    expect(start('Australia/Lord_Howe', '2026-10-04', '02:10')).toBe('2026-10-03T15:30:00.000Z'); // 02:00–02:30
    expect(start('America/Sao_Paulo', '2018-11-04', '00:00')).toBe('2018-11-04T03:00:00.000Z'); // 00:00–01:00
  });

  it('starts when its start is shown for the first time of two, and does not start again', () => {
    const berlin = calendar('Europe/Berlin', '02:30');
    expect(berlin.startOf('2026-10-25').toISOString()).toBe('2026-10-25T00:30:00.000Z');
    expect(berlin.dayOf(new Date('2026-10-25T00:29:59.999Z'))).toBe('2026-10-24');
    expect(berlin.dayOf(new Date('2026-10-25T01:10:00Z'))).toBe('2026-10-25'); // 02:10, the second one
  });

  it('leaves of the day that Apia left out only what follows its start', () => {
    expect(start('Pacific/Apia', '2011-12-30')).toBe('2011-12-30T10:00:00.000Z');
    expect(hours('Pacific/Apia', '2011-12-30')).toBe(4); // until 04:00 of the 31st
    expect(hours('Pacific/Apia', '2011-12-30', 0)).toBe(0);
    expect(calendar('Pacific/Apia', 0).dayOf(new Date('2011-12-30T10:00:00Z'))).toBe('2011-12-31');
  });

  it('counts a night as the day before', () => {
    const kolkata = calendar('Asia/Kolkata');
    expect(kolkata.today(new Date('2026-05-01T22:29:59.999Z'))).toBe('2026-05-01');
    expect(kolkata.today(new Date('2026-05-01T22:30:00Z'))).toBe('2026-05-02');
    expect(kolkata.plus('2026-02-28', 1)).toBe('2026-03-01');
    expect(kolkata.plus('2026-01-01', -1)).toBe('2025-12-31');
  });

  it('bounds days to the end of the years that can be written, and none of a period that ends before it begins', () => {
    expect(calendar('UTC').boundaries('9999-12-30', '9999-12-31').map(Number)).toEqual([
      Date.UTC(9999, 11, 30, 4),
      Date.UTC(9999, 11, 31, 4),
      Date.UTC(10_000, 0, 1, 4),
    ]);
    expect(calendar('Europe/Berlin').boundaries('0000-01-01', '0000-01-03')).toHaveLength(4);
    expect(calendar('UTC').boundaries('2026-01-03', '2026-01-01')).toEqual([]);
  });

  describe('in any zone', () => {
    const calendars = fc
      .record({
        timeZone: fc.constantFrom(...Intl.supportedValuesOf('timeZone')),
        dayStartsAt: fc.oneof(fc.integer({ min: 0, max: 23 }), fc.constantFrom('00:30', '01:59', '02:30', '03:01')),
      })
      .map((preferences) => StudyCalendar.of(preferences));
    const moments = fc.date({ min: new Date('1975-01-01'), max: new Date('2037-12-31'), noInvalidDate: true });
    /** YYYY-MM-DDTHH:MM:SS on the learner's clock, asked of Intl alone. */
    const clockOf = ({ timeZone }: StudyCalendar) => {
      const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' });
      return (moment: number) => format.format(moment).replace(' ', 'T');
    };

    it('gives every moment one day, which has started and is not over', () => {
      fc.assert(
        fc.property(calendars, moments, (days, moment) => {
          const day = days.dayOf(moment);
          const [from, to] = days.boundaries(day, day);
          expect(from! <= moment && moment < to!).toBe(true);
          expect(days.dayOf(from!)).toBe(day);
          expect(days.dayOf(new Date(to!.getTime() - 1))).toBe(day);
          expect(days.dayOf(to!) > day).toBe(true);
          // Asked across the border and back, as what was asked last is remembered.
          const ends = [moment, to!, from!].map((at) => days.endOfDayAt(at));
          expect(ends).toEqual([to, days.boundaries(days.dayOf(to!), days.dayOf(to!))[1], to]);
        }),
        { numRuns: 3000 },
      );
    });

    it('starts a day when the clock first shows its start or later', () => {
      fc.assert(
        fc.property(calendars, moments, (days, moment) => {
          const day = days.dayOf(moment);
          const clock = clockOf(days);
          const dayStart = days.startOf(day).getTime();
          expect(clock(dayStart) >= `${day}T${days.dayStartsAt}:00`).toBe(true);
          for (let minutes = 1; minutes <= 25 * 60; minutes += minutes < 120 ? 1 : 30) {
            expect(clock(dayStart - minutes * 60_000 + 59_999) < `${day}T${days.dayStartsAt}:00`).toBe(true);
          }
        }),
        { numRuns: 300 },
      );
    });
  });
});
