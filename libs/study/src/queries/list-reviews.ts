import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, NotFound, ownerOf, pageOf, type Learner, type Page, type PageRequest, type View } from '@studently/platform';

export interface ReviewView {
  id: string;
  clientReviewId: string;
  rating: number;
  reviewedAt: string;
  durationMs: number | null;
  /** null: it counts */
  undoneAt: string | null;
  createdAt: string;
}

/** The review log of one of the learner's own items, newest first; undone reviews are still in it. */
export class ListReviews extends Query<View<Page<ReviewView>>> {
  constructor(
    readonly actor: Learner,
    readonly itemId: string,
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** One row without a review says that the item is there. */
const SQL = `
  select row_to_json(review)::text as json, review."createdAt", review.id
  from study_items i left join lateral (
    select r.id, r.client_review_id as "clientReviewId", r.rating, iso8601(r.reviewed_at) as "reviewedAt",
      r.duration_ms as "durationMs", iso8601(r.undone_at) as "undoneAt", iso8601(r.created_at) as "createdAt"
    from study_reviews r
    where r.user_id = $1 and r.item_id = $2
      and ($3::timestamptz is null or (r.created_at, r.id) < ($3, $4::uuid))
    order by r.created_at desc, r.id desc limit $5
  ) review on true
  where i.user_id = $1 and i.id = $2`;

@QueryHandler(ListReviews)
export class ListReviewsHandler implements IQueryHandler<ListReviews> {
  constructor(private readonly database: Database) {}

  execute({ actor, itemId, page }: ListReviews): Promise<View<Page<ReviewView>>> {
    return pageOf(page, async (after, limit) => {
      const rows = await this.database.query<{ json: string; createdAt: string; id: string | null }>(actor, SQL, [
        ownerOf(actor),
        itemId,
        after?.createdAt ?? null,
        after?.id ?? null,
        limit,
      ]);
      if (rows.length === 0) throw new NotFound('study item');
      return rows.filter((row): row is typeof row & { id: string } => row.id !== null);
    });
  }
}
