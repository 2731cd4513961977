import { Query, QueryBus, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { GetPreferences } from '@studently/identity';
import { Database, View, type Learner } from '@studently/platform';
import { StudyCalendar } from '../domain/study-day';
import { ITEM_VIEW, type StudyItemView } from './study-item.read-model';

export interface DueView {
  items: StudyItemView[];
  /** When the learner's day ends: until then nothing else comes due but what is being learned. */
  dayEndsAt: string;
}

/**
 * What the learner has to review: whatever comes due before the end of the learner's day, but a learning step only when
 * its minutes have passed. Most overdue relative to its interval first, what is new last; then by `nextReview` and id.
 */
export class ListDue extends Query<View<DueView>> {
  constructor(
    readonly actor: Learner,
    readonly limit: number,
    readonly readToken?: string,
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
  )
  select coalesce(json_agg(item order by due.lateness desc, due.next_review, due.id), '[]')::text as items
  from due cross join lateral (select ${ITEM_VIEW} from study_items i where i.user_id = $1 and i.id = due.id) item`;

@QueryHandler(ListDue)
export class ListDueHandler implements IQueryHandler<ListDue> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
  ) {}

  async execute({ actor, limit, readToken, now }: ListDue): Promise<View<DueView>> {
    const calendar = StudyCalendar.of(await this.queries.execute(new GetPreferences(actor, readToken)));
    const dayEnds = calendar.startOf(calendar.plus(calendar.today(now), 1));
    const [row] = await this.database.read<{ items: string }>(actor, SQL, [actor.userId, now, dayEnds, limit]);
    return new View(`{"items":${row!.items},"dayEndsAt":"${dayEnds.toISOString()}"}`);
  }
}
