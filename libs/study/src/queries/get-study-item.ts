import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { NotFound, ReadModels, type Learner, type View } from '@studently/platform';
import { itemModel, type StudyItemView } from './study-item.read-model';

/** One of the learner's own items. */
export class GetStudyItem extends Query<View<StudyItemView>> {
  constructor(
    readonly actor: Learner,
    readonly itemId: string,
    readonly readToken?: string,
  ) {
    super();
  }
}

@QueryHandler(GetStudyItem)
export class GetStudyItemHandler implements IQueryHandler<GetStudyItem> {
  constructor(private readonly readModels: ReadModels) {}

  async execute({ actor, itemId, readToken }: GetStudyItem): Promise<View<StudyItemView>> {
    const view = await this.readModels.get(itemModel, actor, { itemId }, { readToken });
    if (!view) throw new NotFound('study item');
    return view;
  }
}
