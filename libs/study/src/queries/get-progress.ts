import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { NotFound, ReadModels, type Learner, type View } from '@studently/platform';
import { progressModel, type ProgressView } from './progress.read-model';

/** One entry of the learner's own progress. */
export class GetProgress extends Query<View<ProgressView>> {
  constructor(
    readonly actor: Learner,
    readonly progressId: string,
    readonly readToken?: string,
  ) {
    super();
  }
}

@QueryHandler(GetProgress)
export class GetProgressHandler implements IQueryHandler<GetProgress> {
  constructor(private readonly readModels: ReadModels) {}

  async execute({ actor, progressId, readToken }: GetProgress): Promise<View<ProgressView>> {
    const view = await this.readModels.get(progressModel, actor, { progressId }, { readToken });
    if (!view) throw new NotFound('progress entry');
    return view;
  }
}
