import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { preferencesOf } from '@studently/identity';
import { Database, MOST_ON_A_PAGE, ownerOf, View, type Learner } from '@studently/platform';
import { StudyCalendar } from '../domain/study-day';
import { ITEM_VIEW, type StudyItemView } from './study-item.read-model';

export interface DueView {
  items: StudyItemView[];
  /** When the learner's day ends: until then nothing else comes due but what is being learned. */
  dayEndsAt: string;
}

/**
 * What the learner has to review: whatever comes due before the end of the learner's day, but a learning step only when
 * its minutes have passed. Most overdue relative to its interval first, what is new last; then by `nextReview` and id. Where
 * they are large there are fewer than `limit`.
 */
export class ListDue extends Query<View<DueView>> {
  constructor(
    readonly actor: Learner,
    readonly limit: number,
    readonly now = new Date(),
  ) {
    super();
  }
}

/** The two branches ride on one index each (`study_items_due`, `study_items_new`), and only what is shown is looked up. */
const SQL = `
  with overdue as (
    select id, next_review,
      extract(epoch from $2 - next_review)::float8 / greatest(extract(epoch from next_review - last_reviewed)::float8, 1) as lateness
    from study_items
    where user_id = $1 and last_reviewed is not null and next_review < $3 and (state = 'review' or next_review <= $2)
    order by lateness desc, next_review, id limit $4
  ), new as (
    select id, next_review, '-Infinity'::float8 as lateness from study_items
    where user_id = $1 and last_reviewed is null and next_review <= $2
    order by next_review, id limit $4
  ), due as (
    select * from overdue union all select * from new order by lateness desc, next_review, id limit $4
  ), shown as (
    select lateness, next_review, due.id, row_to_json(item)::text as json
    from due cross join lateral (select ${ITEM_VIEW} from study_items i where i.user_id = $1 and i.id = due.id) item
  ), fitting as (
    select row_number() over ranked as nr, json,
      sum(octet_length(json)) over (ranked rows between unbounded preceding and 1 preceding) as earlier
    from shown window ranked as (order by lateness desc, next_review, id)
  )
  select '[' || coalesce(string_agg(json, ',' order by nr) filter (where coalesce(earlier, 0) < ${MOST_ON_A_PAGE}), '') || ']' as items,
    ${preferencesOf('$1')} as preferences
  from fitting`;

const MOST_KNOWN = 10_000;

@QueryHandler(ListDue)
export class ListDueHandler implements IQueryHandler<ListDue> {
  /** Of learners who have asked here before: a guess, which each answer of the database confirms or corrects. */
  private readonly calendars = new Map<string, StudyCalendar>();

  constructor(private readonly database: Database) {}

  /** One round trip, and another one for a learner whose zone or rollover is not the one that was guessed. */
  async execute({ actor, limit, now }: ListDue): Promise<View<DueView>> {
    for (let calendar = this.calendars.get(ownerOf(actor)) ?? StudyCalendar.of({}); ;) {
      const dayEnds = calendar.endOfDayAt(now);
      const [row] = await this.database.query<Row>(actor, SQL, [ownerOf(actor), now, dayEnds, limit]);
      const { items, preferences } = row!;
      const actual = StudyCalendar.of(preferences ?? {});
      if (actual === calendar) return new View(`{"items":${items},"dayEndsAt":"${dayEnds.toISOString()}"}`);
      calendar = actual;
      if (this.calendars.size >= MOST_KNOWN) this.calendars.clear();
      this.calendars.set(ownerOf(actor), calendar);
    }
  }
}

interface Row {
  /** JSON */
  items: string;
  preferences: Record<string, unknown> | null;
}
