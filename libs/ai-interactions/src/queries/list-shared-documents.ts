import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, pageOf, withinPage, type Learner, type Page, type PageRequest, type View } from '@studently/platform';

/** A document as it was when it was published. */
export interface SharedDocument {
  id: string;
  type: string;
  title: string | null;
  metadata: Record<string, unknown>;
  /** Whose it is. */
  publishedBy: string;
  publishedAt: string;
}

/** What everybody may search, what was published last first; with `type` that of this type. */
export class ListSharedDocuments extends Query<View<Page<SharedDocument>>> {
  constructor(
    readonly actor: Learner,
    readonly filter: { type?: string },
    readonly page: PageRequest,
  ) {
    super();
  }
}

const SQL = withinPage(`
  select row_to_json(item)::text as json, item."publishedAt" as "createdAt", item.id from (
    select d.id, d.type, d.title, d.metadata, d.user_id as "publishedBy", iso8601(d.published_at) as "publishedAt"
    from published_documents d
    where ($1::text is null or d.type = $1)
      and ($2::timestamptz is null or (d.published_at, d.id) < ($2, $3::uuid))
    order by d.published_at desc, d.id desc limit $4
  ) item`);

@QueryHandler(ListSharedDocuments)
export class ListSharedDocumentsHandler implements IQueryHandler<ListSharedDocuments> {
  constructor(private readonly database: Database) {}

  async execute({ actor, filter, page }: ListSharedDocuments): Promise<View<Page<SharedDocument>>> {
    return pageOf(page, (after, limit) =>
      this.database.query(actor, SQL, [filter.type ?? null, after?.createdAt ?? null, after?.id ?? null, limit]),
    );
  }
}
