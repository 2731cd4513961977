import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, type Learner, type Written } from '@studently/platform';
import { itemModel, type StudyItemView } from '../queries/study-item.read-model';
import { ReviewUndone } from '../study.events';
import { lockItem, logOf } from './lock-item';

/** Takes back the review that arrived last: the item is, to the byte, what it was before. @throws NothingToUndo, NotFound */
export class UndoReview extends Command<Written<StudyItemView>> {
  constructor(
    readonly actor: Learner,
    readonly itemId: string,
    readonly now = new Date(),
  ) {
    super();
  }
}

@CommandHandler(UndoReview)
export class UndoReviewHandler implements ICommandHandler<UndoReview> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, itemId, now }: UndoReview): Promise<Written<StudyItemView>> {
    return this.unitOfWork.run<StudyItemView>(actor, async (tx) => {
      const item = await lockItem(tx, actor, itemId);
      const undone = item.undo(await logOf(tx, item), now);
      tx.record(new ReviewUndone(actor.userId, itemId, undone.id));
      return tx.view(itemModel, actor.userId, { itemId });
    });
  }
}
