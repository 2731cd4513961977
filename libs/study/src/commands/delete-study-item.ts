import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, type Learner, type Written } from '@studently/platform';
import { expectItem } from '../queries/study-item.read-model';
import { StudyItemDeleted } from '../study.events';
import { lockItem } from './lock-item';

/** Deletes an item with its review log. */
export class DeleteStudyItem extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly itemId: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(DeleteStudyItem)
export class DeleteStudyItemHandler implements ICommandHandler<DeleteStudyItem> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, itemId, ifMatch }: DeleteStudyItem): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const item = await lockItem(tx, actor, itemId);
      await expectItem(tx, item, ifMatch);
      tx.em.remove(item);
      tx.record(new StudyItemDeleted(actor.userId, itemId));
    });
  }
}
