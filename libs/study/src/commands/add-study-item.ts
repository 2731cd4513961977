import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { IdTaken, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { ContentTypes } from '../content-types';
import type { NewStudyItem } from '../domain/new-study-item';
import { StudyItem } from '../domain/study-item.entity';
import { itemModel, type StudyItemView } from '../queries/study-item.read-model';
import { StudyItemAdded } from '../study.events';

/** Adds an item, which is due at once. Adding the same one twice is once. */
export class AddStudyItem extends Command<Written<StudyItemView>> {
  constructor(
    readonly actor: Learner,
    readonly item: NewStudyItem & { id: string },
    readonly now = new Date(),
  ) {
    super();
  }
}

@CommandHandler(AddStudyItem)
export class AddStudyItemHandler implements ICommandHandler<AddStudyItem> {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly types: ContentTypes,
  ) {}

  execute({ actor, item, now }: AddStudyItem): Promise<Written<StudyItemView>> {
    return this.unitOfWork.run<StudyItemView>(actor, async (tx) => {
      const existing = await tx.em.findOne(StudyItem, { userId: actor.userId, id: item.id });
      if (existing) {
        if (!existing.isSame(item)) throw new IdTaken();
        tx.existed();
      } else {
        await this.types.check(tx, item);
        tx.em.persist(StudyItem.create(actor.userId, item, now));
        tx.record(new StudyItemAdded(actor.userId, item.id));
      }
      return tx.view(itemModel, actor.userId, { itemId: item.id });
    });
  }
}
