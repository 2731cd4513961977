import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { ReadModels } from '@studently/platform';
import { AddStudyItemHandler } from './commands/add-study-item';
import { ChangeProgressHandler, DeleteProgressHandler } from './commands/change-progress';
import { ChangeStudyItemHandler } from './commands/change-study-item';
import { DeleteStudyItemHandler } from './commands/delete-study-item';
import { ImportStudyItemsHandler } from './commands/import-study-items';
import { RecordProgressHandler } from './commands/record-progress';
import { ReviewItemHandler } from './commands/review-item';
import { UndoReviewHandler } from './commands/undo-review';
import { ContentTypes } from './content-types';
import { Progress } from './domain/progress.entity';
import { StudyItem, StudyReview } from './domain/study-item.entity';
import { GetProgressHandler } from './queries/get-progress';
import { GetForecastHandler, GetStatsHandler } from './queries/get-statistics';
import { GetStudyItemHandler } from './queries/get-study-item';
import { ListDueHandler } from './queries/list-due';
import { GetProgressSeriesHandler, ListProgressHandler } from './queries/list-progress';
import { ListReviewsHandler } from './queries/list-reviews';
import { ListStudyItemsHandler } from './queries/list-study-items';
import { progressModel } from './queries/progress.read-model';
import { forecastModel, periodModel, streakModel } from './queries/statistics.read-models';
import { itemModel } from './queries/study-item.read-model';

/** Study items with their schedules and reviews, and the learner's progress. It asks identity for preferences. */
@Module({
  imports: [MikroOrmModule.forFeature([StudyItem, StudyReview, Progress])],
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
    RecordProgressHandler,
    ChangeProgressHandler,
    DeleteProgressHandler,
    GetProgressHandler,
    ListProgressHandler,
    GetProgressSeriesHandler,
  ],
})
export class StudyModule implements OnModuleInit {
  constructor(private readonly readModels: ReadModels) {}

  onModuleInit(): void {
    this.readModels.register(itemModel);
    this.readModels.register(progressModel);
    for (const model of [periodModel, streakModel, forecastModel]) this.readModels.register<never, unknown>(model);
  }
}
