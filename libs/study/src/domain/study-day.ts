import { FixedOffsetZone, IANAZone, type Zone } from 'luxon';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Whoever learns past midnight still learns on the same day; the hour is Anki's. */
const DEFAULT_DAY_START = '04:00';

/**
 * A learner's days, named YYYY-MM-DD. A day runs from its start to the start of the next one by the clock of the learner's
 * zone: 23 or 25 hours where that clock is set, and no time at all where it leaves out a whole day.
 */
export class StudyCalendar {
  private readonly zone: Zone;
  /** The day that was asked about last: learners who share a calendar share it, and it is asked about at each request. */
  private latest?: { starts: Date; ends: Date };

  private constructor(
    /** IANA name */
    readonly timeZone: string,
    /** HH:MM */
    readonly dayStartsAt: string,
  ) {
    // By its canonical name, as luxon keeps what it has been asked for, and "eUROPE/bERLIN" is a name too.
    const name = new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone;
    this.zone = name === 'UTC' ? FixedOffsetZone.utcInstance : IANAZone.create(name);
  }

  /** As the learner's preferences `timeZone` and `dayStartsAt` say; what is unusable there counts as not said. */
  static of({ timeZone, dayStartsAt }: Record<string, unknown>): StudyCalendar {
    const key = JSON.stringify([timeZone, dayStartsAt]);
    let calendar = known.get(key);
    if (!calendar) {
      calendar = new StudyCalendar(readTimeZone(timeZone) ?? 'UTC', readTimeOfDay(dayStartsAt) ?? DEFAULT_DAY_START);
      if (known.size >= MOST_KNOWN) known.clear();
      known.set(key, calendar);
    }
    return calendar;
  }

  dayOf(moment: Date): string {
    const sinceFirstStart = this.shownAt(moment.getTime()) - this.shownAtStartOf('1970-01-01');
    let day = this.plus('1970-01-01', Math.floor(sinceFirstStart / DAY_MS));
    // A clock that is set back shows a time of yesterday again when today has started.
    while (this.startOf(this.plus(day, 1)) <= moment) day = this.plus(day, 1);
    return day;
  }

  /** The first moment at which the clock shows the day's start, or a later time if it leaves out that one. */
  startOf(day: string): Date {
    const shown = this.shownAtStartOf(day);
    // Clocks are at most 14 hours before UTC and 12 behind it, and are not set twice within that time.
    const withOffsetBefore = shown - this.offsetAt(shown - 15 * HOUR_MS);
    const withOffsetAfter = shown - this.offsetAt(shown + 13 * HOUR_MS);
    const moment = [withOffsetBefore, withOffsetAfter].find((candidate) => this.shownAt(candidate) === shown);
    return new Date(moment ?? this.firstShowing(shown, withOffsetAfter, withOffsetBefore));
  }

  today(now: Date): string {
    return this.dayOf(now);
  }

  /** When the day of that moment ends, which is when the next one starts. */
  endOfDayAt(moment: Date): Date {
    if (!this.latest || moment < this.latest.starts || moment >= this.latest.ends) {
      const day = this.dayOf(moment);
      this.latest = { starts: this.startOf(day), ends: this.startOf(this.plus(day, 1)) };
    }
    return this.latest.ends;
  }

  /** The starts of the days `from` … `to`, and of the day after: what SQL's `width_bucket` counts in. */
  boundaries(from: string, to: string): Date[] {
    const days = (Date.parse(to) - Date.parse(from)) / DAY_MS + 1;
    return Array.from({ length: days + 1 }, (_, index) => this.startOf(this.plus(from, index)));
  }

  /** When the clock shows a full hour next, unless it is set before that. */
  nextHour(moment: Date): Date {
    const sinceFullHour = ((this.shownAt(moment.getTime()) % HOUR_MS) + HOUR_MS) % HOUR_MS;
    return new Date(moment.getTime() + HOUR_MS - sinceFullHour);
  }

  plus(day: string, days: number): string {
    return new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, -'T00:00:00.000Z'.length);
  }

  /** The end of the gap: the first moment after `early` at which the clock shows `shown` or later, as it does at `late`. */
  private firstShowing(shown: number, early: number, late: number): number {
    while (late - early > 1) {
      const middle = Math.floor((early + late) / 2);
      if (this.shownAt(middle) < shown) early = middle;
      else late = middle;
    }
    return late;
  }

  /** What the learner's clock shows then, as if that were UTC. */
  private shownAt(moment: number): number {
    return moment + this.offsetAt(moment);
  }

  private shownAtStartOf(day: string): number {
    return Date.parse(`${day}T${this.dayStartsAt}Z`);
  }

  private offsetAt(moment: number): number {
    return this.zone.offset(moment) * MINUTE_MS;
  }
}

/** To look up a zone costs more than to answer from it, and learners share few of them. */
const known = new Map<string, StudyCalendar>();
const MOST_KNOWN = 1000;

/** A zone has a name: what begins with a sign is only an offset, and knows no summer. */
function readTimeZone(value: unknown): string | undefined {
  return typeof value === 'string' && /^[A-Za-z]/.test(value) && IANAZone.isValidZone(value) ? value : undefined;
}

/** HH:MM, or an hour from 0 to 23. */
function readTimeOfDay(value: unknown): string | undefined {
  if (typeof value === 'string') return /^([01]\d|2[0-3]):[0-5]\d$/.test(value) ? value : undefined;
  const isHour = Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 23;
  return isHour ? `${String(value).padStart(2, '0')}:00` : undefined;
}
