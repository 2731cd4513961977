import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, type Learner, type Written } from '@studently/platform';
import { ContentTypes } from '../content-types';
import type { NewStudyItem } from '../domain/new-study-item';
import { expectItem, itemModel, type StudyItemView } from '../queries/study-item.read-model';
import { StudyItemChanged } from '../study.events';
import { lockItem } from './lock-item';

export type StudyItemChanges = Partial<Pick<NewStudyItem, 'type' | 'content' | 'tags'>>;

/** Changes what is studied; how well it is known stays. */
export class ChangeStudyItem extends Command<Written<StudyItemView>> {
  constructor(
    readonly actor: Learner,
    readonly itemId: string,
    readonly changes: StudyItemChanges,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(ChangeStudyItem)
export class ChangeStudyItemHandler implements ICommandHandler<ChangeStudyItem> {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly types: ContentTypes,
  ) {}

  execute({ actor, itemId, changes, ifMatch }: ChangeStudyItem): Promise<Written<StudyItemView>> {
    return this.unitOfWork.run<StudyItemView>(actor, async (tx) => {
      const item = await lockItem(tx, actor, itemId);
      await expectItem(tx, item, ifMatch);
      item.edit(changes);
      await this.types.check(tx, item);
      tx.record(new StudyItemChanged(actor.userId, itemId, Object.keys(changes)));
      return tx.view(itemModel, actor.userId, { itemId });
    });
  }
}
