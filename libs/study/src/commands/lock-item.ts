import { LockMode } from '@mikro-orm/core';
import { NotFound, type Learner, type Transaction } from '@studently/platform';
import { StudyItem, StudyReview } from '../domain/study-item.entity';

/** The learner's item, locked until the command has committed: reviews of it queue up here. */
export async function lockItem(tx: Transaction, { userId }: Learner, itemId: string): Promise<StudyItem> {
  const item = await tx.em.findOne(StudyItem, { userId, id: itemId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  if (!item) throw new NotFound('study item');
  return item;
}

/** The reviews of an item that count. */
export function logOf(tx: Transaction, item: StudyItem): Promise<StudyReview[]> {
  return tx.em.find(StudyReview, { userId: item.userId, item, undoneAt: null });
}
