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
import { DOCUMENT_SUMMARY, type DocumentView } from './document.read-model';

export type DocumentSummary = Omit<DocumentView, 'content'>;

/** The learner's own documents, newest first; with `type` those of that type. */
export class ListDocuments extends Query<View<Page<DocumentSummary>>> {
  constructor(
    readonly actor: Learner,
    readonly filter: { type?: string },
    readonly page: PageRequest,
  ) {
    super();
  }
}

const SQL = withinPage(`
  select row_to_json(item)::text as json, item."createdAt", item.id from (
    select ${DOCUMENT_SUMMARY} from documents d
    where d.user_id = $1
      and ($2::text is null or d.type = $2)
      and ($3::timestamptz is null or (d.created_at, d.id) < ($3, $4::uuid))
    order by d.created_at desc, d.id desc limit $5
  ) item`);

@QueryHandler(ListDocuments)
export class ListDocumentsHandler implements IQueryHandler<ListDocuments> {
  constructor(private readonly database: Database) {}

  async execute({ actor, filter, page }: ListDocuments): Promise<View<Page<DocumentSummary>>> {
    return pageOf(page, (after, limit) =>
      this.database.query(actor, SQL, [
        ownerOf(actor),
        filter.type ?? null,
        after?.createdAt ?? null,
        after?.id ?? null,
        limit,
      ]),
    );
  }
}
