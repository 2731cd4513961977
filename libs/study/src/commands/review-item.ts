import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { IdTaken, UnitOfWork, View, type Learner, type Written } from '@studently/platform';
import type { NewReview } from '../domain/new-study-item';
import { StudyReview, type ReviewAnswer } from '../domain/study-item.entity';
import { StudyItemReviewed } from '../study.events';
import { lockItem, logOf } from './lock-item';

/**
 * Takes a review and schedules the item anew. One that arrives late, from a device that was offline, finds its place in the
 * log by its time; one that arrives twice counts once, also when it has been undone meanwhile.
 * @throws ReviewInFuture, NotFound, IdTaken
 */
export class ReviewItem extends Command<Written<ReviewAnswer>> {
  constructor(
    readonly actor: Learner,
    readonly itemId: string,
    readonly review: NewReview,
    readonly now = new Date(),
  ) {
    super();
  }
}

@CommandHandler(ReviewItem)
export class ReviewItemHandler implements ICommandHandler<ReviewItem> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, itemId, review, now }: ReviewItem): Promise<Written<ReviewAnswer>> {
    return this.unitOfWork.run<ReviewAnswer>(actor, async (tx) => {
      const item = await lockItem(tx, actor, itemId);
      const id = StudyReview.idOf(itemId, review.clientReviewId);
      const earlier = await tx.em.findOne(StudyReview, { userId: actor.userId, id });
      if (earlier) {
        if (!earlier.isSame(review)) throw new IdTaken();
        tx.existed();
        return View.of(earlier.answer);
      }
      const log = item.isLate(review.reviewedAt ?? now) ? await logOf(tx, item) : undefined;
      const reviewed = item.review(review, now, log);
      tx.em.persist(reviewed);
      tx.record(new StudyItemReviewed(actor.userId, itemId, id));
      return View.of(reviewed.answer);
    });
  }
}
