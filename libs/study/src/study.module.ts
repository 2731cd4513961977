import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { ReadModels } from '@studently/platform';
import { AddStudyItemHandler } from './commands/add-study-item';
import { ChangeStudyItemHandler } from './commands/change-study-item';
import { DeleteStudyItemHandler } from './commands/delete-study-item';
import { ImportStudyItemsHandler } from './commands/import-study-items';
import { ReviewItemHandler } from './commands/review-item';
import { UndoReviewHandler } from './commands/undo-review';
import { ContentTypes } from './content-types';
import { StudyItem, StudyReview } from './domain/study-item.entity';
import { GetForecastHandler, GetStatsHandler } from './queries/get-statistics';
import { GetStudyItemHandler } from './queries/get-study-item';
import { ListDueHandler } from './queries/list-due';
import { ListReviewsHandler } from './queries/list-reviews';
import { ListStudyItemsHandler } from './queries/list-study-items';
import { forecastModel, periodModel, streakModel } from './queries/statistics.read-models';
import { itemModel } from './queries/study-item.read-model';

/** Study items with their schedules and reviews, and the learner's progress. It asks identity for preferences. */
@Module({
  imports: [MikroOrmModule.forFeature([StudyItem, StudyReview])],
  providers: [
    ContentTypes,
    AddStudyItemHandler,
    ChangeStudyItemHandler,
    DeleteStudyItemHandler,
    ImportStudyItemsHandler,
    ReviewItemHandler,
    UndoReviewHandler,
    GetStudyItemHandler,
    ListStudyItemsHandler,
    ListReviewsHandler,
    ListDueHandler,
    GetStatsHandler,
    GetForecastHandler,
  ],
})
export class StudyModule implements OnModuleInit {
  constructor(private readonly readModels: ReadModels) {}

  onModuleInit(): void {
    this.readModels.register(itemModel);
    for (const model of [periodModel, streakModel, forecastModel]) this.readModels.register<never, unknown>(model);
  }
}
