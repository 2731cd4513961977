import { Query, QueryBus, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { GetPreferences } from '@studently/identity';
import {
  Database,
  ownerOf,
  pageOf,
  ValidationFailed,
  View,
  withinPage,
  type Learner,
  type Page,
  type PageRequest,
} from '@studently/platform';
import { bucketBoundaries, type Bucket } from '../domain/progress-series';
import { CLOCK_SKEW_MS } from '../domain/study.errors';
import { StudyCalendar } from '../domain/study-day';
import { PROGRESS_VIEW, type ProgressView } from './progress.read-model';

const DAY_MS = 24 * 60 * 60 * 1000;
const USUAL_DAYS: Record<Bucket, number> = { hour: 7, day: 30, week: 26 * 7 };

/**
 * Which entries: of a category, with a timestamp from `from` on and before `to`. Both are moments (ISO 8601), or days of the
 * learner's zone (YYYY-MM-DD), of which their first moment counts.
 */
export interface ProgressFilter {
  category?: string;
  from?: string;
  to?: string;
}

/** The learner's own progress, the entry that came last first. */
export class ListProgress extends Query<View<Page<ProgressView>>> {
  constructor(
    readonly actor: Learner,
    readonly filter: ProgressFilter,
    readonly page: PageRequest,
    readonly readToken?: string,
  ) {
    super();
  }
}

export interface ProgressSeries {
  bucket: Bucket;
  timeZone: string;
  /** In order; without those that are empty. */
  series: { start: string; end: string; count: number; mean: number; min: number; max: number }[];
}

/** The learner's scores by hour, day or week of the learner's zone; of the last 7 days, 30 days or 26 weeks, if nothing is said. */
export class GetProgressSeries extends Query<View<ProgressSeries>> {
  constructor(
    readonly actor: Learner,
    readonly filter: ProgressFilter,
    readonly bucket: Bucket,
    readonly readToken?: string,
    readonly now = new Date(),
  ) {
    super();
  }
}

/** $2 category, $3 from, $4 to */
const ENTRIES = `
  from progress p
  where p.user_id = $1
    and ($2::text is null or p.category = $2)
    and ($3::timestamptz is null or p."timestamp" >= $3)
    and ($4::timestamptz is null or p."timestamp" < $4)`;

const PAGE = withinPage(`
  select row_to_json(item)::text as json, item."createdAt", item.id from (
    select ${PROGRESS_VIEW} ${ENTRIES}
      and ($5::timestamptz is null or (p.created_at, p.id) < ($5, $6::uuid))
    order by p.created_at desc, p.id desc limit $7
  ) item`);

/** $5 are the boundaries of the buckets. A sum of floats is rounded, which must not carry the mean past its values. */
const SERIES = `
  select coalesce(json_agg(json_build_object(
      'start', iso8601(($5::timestamptz[])[at]), 'end', iso8601(($5::timestamptz[])[at + 1]),
      'count', count, 'mean', greatest(min, least(max, mean)), 'min', min, 'max', max) order by at), '[]')::text as series
  from (
    select width_bucket(p."timestamp", $5::timestamptz[]) as at,
      count(*), avg(p.score) as mean, min(p.score), max(p.score)
    ${ENTRIES} group by at
  ) bucket`;

const MIDNIGHT = { dayStartsAt: 0 };

@QueryHandler(ListProgress)
export class ListProgressHandler implements IQueryHandler<ListProgress> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
  ) {}

  async execute({ actor, filter, page, readToken }: ListProgress): Promise<View<Page<ProgressView>>> {
    const namesDays = [filter.from, filter.to].some((text) => text !== undefined && isDay(text));
    const preferences = namesDays ? await this.queries.execute(new GetPreferences(actor, readToken)) : {};
    const { from, to } = periodOf(StudyCalendar.of({ ...preferences, ...MIDNIGHT }), filter);
    return pageOf(page, (after, limit) =>
      this.database.query(actor, PAGE, [
        ownerOf(actor),
        filter.category ?? null,
        from ?? null,
        to ?? null,
        after?.createdAt ?? null,
        after?.id ?? null,
        limit,
      ]),
    );
  }
}

@QueryHandler(GetProgressSeries)
export class GetProgressSeriesHandler implements IQueryHandler<GetProgressSeries> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
  ) {}

  async execute({ actor, filter, bucket, readToken, now }: GetProgressSeries): Promise<View<ProgressSeries>> {
    const preferences = await this.queries.execute(new GetPreferences(actor, readToken));
    // By the calendar, from midnight on, whenever the learner goes to bed.
    const calendar = StudyCalendar.of({ ...preferences, ...MIDNIGHT });
    const { from, to } = usualPeriod(bucket, periodOf(calendar, filter), now);
    const boundaries = bucketBoundaries(bucket, calendar, from, to);
    const values = [ownerOf(actor), filter.category ?? null, from, to, boundaries];
    const [row] = await this.database.query<{ series: string }>(actor, SERIES, values);
    return new View(`{"bucket":"${bucket}","timeZone":${JSON.stringify(calendar.timeZone)},"series":${row!.series}}`);
  }
}

interface Period {
  from?: Date;
  to?: Date;
}

const isDay = (text: string) => !text.includes('T');

function periodOf(calendar: StudyCalendar, { from, to }: ProgressFilter): Period {
  const momentOf = (text: string) => (isDay(text) ? calendar.startOf(text) : new Date(text));
  return inOrder({ ...(from && { from: momentOf(from) }), ...(to && { to: momentOf(to) }) });
}

/** With what is usual where nothing is said. */
function usualPeriod(bucket: Bucket, { from, to }: Period, now: Date): Required<Period> {
  return inOrder({
    from: from ?? new Date((to ?? now).getTime() - USUAL_DAYS[bucket] * DAY_MS),
    to: to ?? new Date(now.getTime() + CLOCK_SKEW_MS), // what a client's clock calls now may be ahead of ours
  });
}

/** @throws ValidationFailed if the period ends before it begins */
function inOrder<P extends Period>(period: P): P {
  if (period.from && period.to && period.from > period.to) {
    throw new ValidationFailed([{ path: 'from', code: 'after_to', message: 'The period ends before it begins.' }]);
  }
  return period;
}
