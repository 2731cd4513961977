import { asDigestedView, forgottenBy, type DomainEvent, type ReadModel } from '@studently/platform';
import type { StudyCalendar } from '../domain/study-day';
import { ReviewUndone, StudyItemAdded, StudyItemDeleted, StudyItemReviewed, StudyItemsImported } from '../study.events';

/** Reviews of items that had been seen a day or more before: passed means remembered (any rating but 1). */
export interface Retention {
  reviews: number;
  passed: number;
  /** passed / reviews; null without any. */
  rate: number | null;
}

export interface PeriodStats {
  days: { date: string; reviews: number; minutes: number }[];
  reviews: number;
  minutes: number;
  /** young: seen less than 21 days before; mature: 21 days or more. */
  trueRetention: { all: Retention; young: Retention; mature: Retention };
  /** Items as they are now. Mature is a stability of 21 days or more. */
  maturity: { new: number; learning: number; young: number; mature: number };
}

export interface Forecast {
  /** `due`: to be reviewed again; on the first day also what is overdue. `new`: never reviewed yet. */
  days: { date: string; due: number; new: number }[];
}

/** Days of a learner, from `from` to `to`. */
export interface Period {
  calendar: StudyCalendar;
  /** YYYY-MM-DD */
  from: string;
  to: string;
}

const TAG = 'study-statistics';
const everythingStudied = [StudyItemAdded, StudyItemDeleted, StudyItemReviewed, ReviewUndone, StudyItemsImported].map((type) =>
  forgottenBy<DomainEvent>(type, () => [TAG]),
);

const keyOf = (name: string, { calendar, from, to }: Period) =>
  `${name}:${from}:${to}:${calendar.timeZone}:${calendar.dayStartsAt}`;

/** $2: the starts of the days and the end of the last one. $3: their names. */
const daysOf = ({ calendar, from, to }: Period): [starts: Date[], names: string[]] => {
  const starts = calendar.boundaries(from, to);
  return [starts, starts.slice(0, -1).map((_, index) => calendar.plus(from, index))];
};

const retention = (condition: string) => `(
  select json_build_object('reviews', count(*), 'passed', count(*) filter (where rating > 1),
    'rate', round(count(*) filter (where rating > 1)::numeric / nullif(count(*), 0), 4)::float8)
  from counted where gap >= interval '1 day' ${condition})`;

const minutes = 'round(coalesce(sum(duration_ms), 0)::numeric / 60000, 2)::float8';

/** What a learner did on some days, from the review log alone, and what the items have become. */
export const periodModel: ReadModel<Period, PeriodStats> = {
  sql: asDigestedView(`
    with within as (
      select r.item_id, r.rating, r.duration_ms, r.reviewed_at, width_bucket(r.reviewed_at, $2::timestamptz[]) as day,
        lag(r.reviewed_at) over (partition by r.item_id order by r.reviewed_at, r.seq) as before
      from study_reviews r
      where r.user_id = $1 and r.undone_at is null
        and r.reviewed_at >= ($2::timestamptz[])[1] and r.reviewed_at < ($2::timestamptz[])[cardinality($2::timestamptz[])]
    ), counted as materialized (
      -- Only the first review of an item in the period has the one before it outside.
      select rating, duration_ms, day, reviewed_at - coalesce(before, (
          select max(p.reviewed_at) from study_reviews p
          where p.user_id = $1 and p.item_id = within.item_id and p.undone_at is null and p.reviewed_at < ($2::timestamptz[])[1]
        )) as gap
      from within
    ), daily as (
      select day, count(*) as reviews, ${minutes} as minutes from counted group by day
    )
    select
      (select json_agg(json_build_object('date', d.name, 'reviews', coalesce(reviews, 0), 'minutes', coalesce(minutes, 0)) order by d.day)
       from unnest($3::text[]) with ordinality as d (name, day) left join daily using (day)) as days,
      (select count(*) from counted) as reviews,
      (select ${minutes} from counted) as minutes,
      json_build_object('all', ${retention('')}, 'young', ${retention(`and gap < interval '21 days'`)},
        'mature', ${retention(`and gap >= interval '21 days'`)}) as "trueRetention",
      (select json_build_object(
         'new', count(*) filter (where state = 'new'),
         'learning', count(*) filter (where state in ('learning', 'relearning')),
         'young', count(*) filter (where state = 'review' and stability < 21),
         'mature', count(*) filter (where state = 'review' and stability >= 21))
       from study_items where user_id = $1) as maturity`),
  values: (userId, period) => [userId, ...daysOf(period)],
  key: (period) => keyOf('stats', period),
  tag: () => TAG,
  forgottenBy: everythingStudied,
};

/** On how many days in a row, counted back from the last day of the period or the one before it, there is a review. */
export const streakModel: ReadModel<Period, { days: number }> = {
  sql: asDigestedView(`
    with studied as (
      select distinct width_bucket(reviewed_at, $2::timestamptz[])::int as day from study_reviews
      where user_id = $1 and undone_at is null
        and reviewed_at >= ($2::timestamptz[])[1] and reviewed_at < ($2::timestamptz[])[cardinality($2::timestamptz[])]
    ), runs as (
      select day, day - row_number() over (order by day) as run from studied
    ), latest as (
      select run, max(day) as last, count(*)::int as days from runs group by run order by last desc limit 1
    )
    select coalesce((select days from latest where last >= cardinality($2::timestamptz[]) - 2), 0) as days`),
  values: (userId, period) => [userId, daysOf(period)[0]],
  key: (period) => keyOf('streak', period),
  tag: () => TAG,
  forgottenBy: everythingStudied,
};

/** What will be due on which day if nothing is reviewed before. */
export const forecastModel: ReadModel<Period, Forecast> = {
  sql: asDigestedView(`
    with ahead as (
      select greatest(width_bucket(next_review, $2::timestamptz[]), 1) as day,
        count(*) filter (where last_reviewed is not null) as due, count(*) filter (where last_reviewed is null) as new
      from study_items
      where user_id = $1 and next_review < ($2::timestamptz[])[cardinality($2::timestamptz[])]
      group by 1
    )
    select json_agg(json_build_object('date', d.name, 'due', coalesce(due, 0), 'new', coalesce(new, 0)) order by d.day) as days
    from unnest($3::text[]) with ordinality as d (name, day) left join ahead using (day)`),
  values: (userId, period) => [userId, ...daysOf(period)],
  key: (period) => keyOf('forecast', period),
  tag: () => TAG,
  forgottenBy: everythingStudied,
};
