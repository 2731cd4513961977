import { Query, QueryBus, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { GetPreferences } from '@studently/identity';
import { ReadModels, ValidationFailed, View, type Learner } from '@studently/platform';
import { RangeTooLarge } from '../domain/study.errors';
import { StudyCalendar } from '../domain/study-day';
import { forecastModel, periodModel, streakModel, type Forecast, type PeriodStats } from './statistics.read-models';

const DAY_MS = 24 * 60 * 60 * 1000;
const USUAL_DAYS = 30;
const MAX_DAYS = 366;
/** How far back a streak is looked for at first; it is doubled as long as there is no end. */
const STREAK_DAYS = 128;
const LONGEST_STREAK_DAYS = 4096;

export interface StudyStats extends PeriodStats {
  from: string;
  to: string;
  timeZone: string;
  /** Days in a row with a review, up to today; today may still come. */
  streak: number;
}

/**
 * True retention, reviews and minutes a day, maturity and streak, by the learner's own days. All of it is computed from the
 * review log. `from` and `to` are days (YYYY-MM-DD), both included; by default the 30 days up to today.
 */
export class GetStats extends Query<View<StudyStats>> {
  constructor(
    readonly actor: Learner,
    readonly range: { from?: string; to?: string },
    readonly readToken?: string,
    readonly now = new Date(),
  ) {
    super();
  }
}

/** How much will be due on each of the next days, today first. */
export class GetForecast extends Query<View<Forecast>> {
  constructor(
    readonly actor: Learner,
    readonly days: number,
    readonly readToken?: string,
    readonly now = new Date(),
  ) {
    super();
  }
}

@QueryHandler(GetStats)
export class GetStatsHandler implements IQueryHandler<GetStats> {
  constructor(
    private readonly readModels: ReadModels,
    private readonly queries: QueryBus,
  ) {}

  async execute({ actor, range, readToken, now }: GetStats): Promise<View<StudyStats>> {
    const calendar = StudyCalendar.of(await this.queries.execute(new GetPreferences(actor, readToken)));
    const today = calendar.today(now);
    const { to = today } = range;
    const { from = calendar.plus(to, 1 - USUAL_DAYS) } = range;
    assertDays(from, to);
    const view = await this.readModels.get(periodModel, actor, { calendar, from, to }, { readToken });
    const streak = await this.streak(actor, calendar, today, readToken);
    return View.of({ from, to, timeZone: calendar.timeZone, ...view!.value, streak });
  }

  private async streak(actor: Learner, calendar: StudyCalendar, today: string, readToken?: string): Promise<number> {
    for (let window = STREAK_DAYS; ; window *= 2) {
      const period = { calendar, from: calendar.plus(today, 1 - window), to: today };
      const { days } = (await this.readModels.get(streakModel, actor, period, { readToken }))!.value;
      if (days < window - 1 || window >= LONGEST_STREAK_DAYS) return days;
    }
  }
}

@QueryHandler(GetForecast)
export class GetForecastHandler implements IQueryHandler<GetForecast> {
  constructor(
    private readonly readModels: ReadModels,
    private readonly queries: QueryBus,
  ) {}

  async execute({ actor, days, readToken, now }: GetForecast): Promise<View<Forecast>> {
    const calendar = StudyCalendar.of(await this.queries.execute(new GetPreferences(actor, readToken)));
    const from = calendar.today(now);
    const period = { calendar, from, to: calendar.plus(from, days - 1) };
    return (await this.readModels.get(forecastModel, actor, period, { readToken }))!;
  }
}

/** @throws ValidationFailed, RangeTooLarge */
function assertDays(from: string, to: string): void {
  const days = (Date.parse(to) - Date.parse(from)) / DAY_MS + 1;
  if (days < 1) throw new ValidationFailed([{ path: 'from', code: 'after_to', message: 'The period ends before it begins.' }]);
  if (days > MAX_DAYS) throw new RangeTooLarge(`${MAX_DAYS} days`);
}
