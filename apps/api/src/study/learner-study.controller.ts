import { Controller, Get, Param, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers, Fresh } from '../http/openapi';
import {
  GetForecast,
  GetProgress,
  GetProgressSeries,
  GetStats,
  GetStudyItem,
  ListDue,
  ListProgress,
  ListReviews,
  ListStudyItems,
} from '@studently/study';
import { CurrentTeacher, ReadToken } from '../http/request';
import { Id, pageOf, PageQuery } from '../http/schemas';
import { ProgressAnswer, ProgressListAnswer, ProgressQuery } from './progress.schemas';
import {
  DueAnswer,
  DueQuery,
  ForecastAnswer,
  ForecastQuery,
  ItemAnswer,
  ItemsQuery,
  ReviewEntry,
  StatsAnswer,
  StatsQuery,
} from './study.schemas';

/** What learners have granted a teacher to read of their studies: the same queries, read-only. */
@ApiTags('learners')
@ApiBearerAuth()
@Controller('v1/learners/:userId')
export class LearnerStudyController {
  constructor(private readonly queries: QueryBus) {}

  @Get('progress')
  @ApiOperation({ summary: 'List the progress of a learner, as a teacher' })
  @Fresh()
  @Answers(200, ProgressListAnswer, 'A page of entries, the latest first; with `bucket` a series, without empty buckets')
  async listLearnerProgress(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Query({ schema: ProgressQuery }) { bucket, ...query }: z.infer<typeof ProgressQuery>,
    @ReadToken() readToken?: string,
  ) {
    return bucket === undefined
      ? this.queries.execute(new ListProgress(teacher, query, query, readToken))
      : this.queries.execute(new GetProgressSeries(teacher, query, bucket, readToken));
  }

  @Get('progress/:progressId')
  @ApiOperation({ summary: 'An entry of the progress of a learner, as a teacher' })
  @Fresh()
  @Answers(200, ProgressAnswer)
  getLearnerProgress(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Param('progressId', { schema: Id }) progressId: string,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetProgress(teacher, progressId, readToken));
  }

  @Get('study/items')
  @ApiOperation({ summary: 'List the study items of a learner, as a teacher' })
  @Fresh()
  @Answers(200, pageOf(ItemAnswer))
  listLearnerItems(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Query({ schema: ItemsQuery }) query: z.infer<typeof ItemsQuery>,
  ) {
    return this.queries.execute(new ListStudyItems(teacher, query, query));
  }

  @Get('study/items/:itemId')
  @ApiOperation({ summary: 'A study item of a learner, as a teacher' })
  @Fresh()
  @Answers(200, ItemAnswer)
  getLearnerItem(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Param('itemId', { schema: Id }) itemId: string,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetStudyItem(teacher, itemId, readToken));
  }

  @Get('study/items/:itemId/reviews')
  @ApiOperation({ summary: 'List the reviews of a study item of a learner, as a teacher' })
  @Fresh()
  @Answers(200, pageOf(ReviewEntry))
  listLearnerReviews(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Param('itemId', { schema: Id }) itemId: string,
    @Query({ schema: PageQuery }) query: z.infer<typeof PageQuery>,
  ) {
    return this.queries.execute(new ListReviews(teacher, itemId, query));
  }

  @Get('study/due')
  @ApiOperation({ summary: 'What a learner has to study now, as a teacher' })
  @Fresh()
  @Answers(200, DueAnswer)
  listLearnerDue(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Query({ schema: DueQuery }) { limit }: z.infer<typeof DueQuery>,
  ) {
    return this.queries.execute(new ListDue(teacher, limit));
  }

  @Get('study/stats')
  @ApiOperation({ summary: 'What a learner has studied, as a teacher' })
  @Fresh()
  @Answers(200, StatsAnswer)
  getLearnerStats(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Query({ schema: StatsQuery }) query: z.infer<typeof StatsQuery>,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetStats(teacher, query, readToken));
  }

  @Get('study/forecast')
  @ApiOperation({ summary: 'What a learner will have to study, as a teacher' })
  @Fresh()
  @Answers(200, ForecastAnswer)
  getLearnerForecast(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Query({ schema: ForecastQuery }) { days }: z.infer<typeof ForecastQuery>,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetForecast(teacher, days, readToken));
  }
}
