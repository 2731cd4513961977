import { DateTime } from 'luxon';
import { RangeTooLarge } from './study.errors';
import type { StudyCalendar } from './study-day';

export const BUCKETS = ['hour', 'day', 'week'] as const;
export type Bucket = (typeof BUCKETS)[number];

const MAX_BUCKETS = 2000;

/**
 * The starts of the hours, days or weeks (from Monday) of a calendar that cover the time from `from` to `to`, and the end of
 * the last one. An hour in which the clock is set ends early, or is there twice.
 * @throws RangeTooLarge
 */
export function bucketBoundaries(bucket: Bucket, calendar: StudyCalendar, from: Date, to: Date): Date[] {
  const boundaries: Date[] = [];
  for (const start of startsOf(bucket, calendar, from)) {
    if (start <= from) boundaries.length = 0;
    boundaries.push(start);
    if (start >= to && start > from) break;
    if (boundaries.length > MAX_BUCKETS) throw new RangeTooLarge(`${MAX_BUCKETS} buckets`);
  }
  return boundaries;
}

/** Endless; the first one is not after `from`. */
function* startsOf(bucket: Bucket, calendar: StudyCalendar, from: Date): Generator<Date, never> {
  let day = calendar.dayOf(from);
  if (bucket === 'hour') for (let start = calendar.startOf(day); ; start = calendar.nextHour(start)) yield start;
  if (bucket === 'week') day = DateTime.fromISO(day, { zone: 'utc' }).startOf('week').toISODate()!;
  for (; ; day = calendar.plus(day, bucket === 'week' ? 7 : 1)) yield calendar.startOf(day);
}
