import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import {
  Database,
  ownerOf,
  pageOf,
  withinPage,
  type Learner,
  type Page,
  type PageRequest,
  type View,
} from '@studently/platform';
import { ITEM_VIEW, type StudyItemView } from './study-item.read-model';

/** The learner's own items, newest first; of one type, or with one tag. */
export class ListStudyItems extends Query<View<Page<StudyItemView>>> {
  constructor(
    readonly actor: Learner,
    readonly filter: { type?: string; tag?: string },
    readonly page: PageRequest,
  ) {
    super();
  }
}

const SQL = withinPage(`
  select row_to_json(item)::text as json, item."createdAt", item.id from (
    select ${ITEM_VIEW} from study_items i
    where i.user_id = $1
      and ($2::text is null or i.type = $2)
      and ($3::text is null or $3 = any(i.tags))
      and ($4::timestamptz is null or (i.created_at, i.id) < ($4, $5::uuid))
    order by i.created_at desc, i.id desc limit $6
  ) item`);

@QueryHandler(ListStudyItems)
export class ListStudyItemsHandler implements IQueryHandler<ListStudyItems> {
  constructor(private readonly database: Database) {}

  execute({ actor, filter, page }: ListStudyItems): Promise<View<Page<StudyItemView>>> {
    return pageOf(page, (after, limit) => {
      const from = [after?.createdAt ?? null, after?.id ?? null];
      return this.database.query(actor, SQL, [ownerOf(actor), filter.type ?? null, filter.tag ?? null, ...from, limit]);
    });
  }
}
