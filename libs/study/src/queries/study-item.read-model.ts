import { asDigestedView, expectEtag, forgottenBy, type ReadModel, type Transaction } from '@studently/platform';
import type { ItemState } from '../domain/schedule';
import { ReviewUndone, StudyItemAdded, StudyItemChanged, StudyItemDeleted, StudyItemReviewed } from '../study.events';

export interface StudyItemView {
  id: string;
  type: string;
  content: Record<string, unknown>;
  tags: string[];
  /** Maturity, 0 to 1. */
  progress: number;
  lastReviewed: string | null;
  nextReview: string;
  scheduling: { state: ItemState; stability: number; difficulty: number; reps: number; lapses: number };
  createdAt: string;
  /** Counts changes of type, content and tags. */
  version: number;
}

/** The columns of the view, of `study_items i`. Nothing in it but what a review and its undoing bring back. */
export const ITEM_VIEW = `
  i.id, i.type, i.content, i.tags, i.progress, iso8601(i.last_reviewed) as "lastReviewed", iso8601(i.next_review) as "nextReview",
  json_build_object('state', i.state, 'stability', i.stability, 'difficulty', i.difficulty, 'reps', i.reps, 'lapses', i.lapses)
    as scheduling,
  iso8601(i.created_at) as "createdAt", i.version`;

/** A study item. Its ETag is a digest: a review leaves the version, and one that is undone leaves no trace. */
export const itemModel: ReadModel<{ itemId: string }, StudyItemView> = {
  sql: asDigestedView(`select ${ITEM_VIEW} from study_items i where i.user_id = $1 and i.id = $2`),
  values: (userId, { itemId }) => [userId, itemId],
  key: ({ itemId }) => `item:${itemId}`,
  tag: ({ itemId }) => `item:${itemId}`,
  forgottenBy: [StudyItemAdded, StudyItemChanged, StudyItemDeleted, StudyItemReviewed, ReviewUndone].map((type) =>
    forgottenBy(type, (event) => [`item:${event.subjectId}`]),
  ),
};

/** For If-Match. The item has to be locked. @throws VersionMismatch */
export async function expectItem(tx: Transaction, { userId, id }: { userId: string; id: string }, ifMatch: string | undefined) {
  if (ifMatch === undefined) return;
  const current = await tx.view(itemModel, userId, { itemId: id });
  expectEtag(current?.etag, ifMatch);
}
