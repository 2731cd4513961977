import { Controller, Get, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Learner } from '@studently/platform';
import { GetForecast, GetStats, ListDue } from '@studently/study';
import type { z } from 'zod';
import { Answers, Fresh } from '../http/openapi';
import { CurrentActor, ReadToken } from '../http/request';
import { DueAnswer, DueQuery, ForecastAnswer, ForecastQuery, StatsAnswer, StatsQuery } from './study.schemas';

/** What there is to do, and what has been done: by the learner's own days. */
@ApiTags('study')
@ApiBearerAuth()
@Controller('v1/study')
export class StudyController {
  constructor(private readonly queries: QueryBus) {}

  @Get('due')
  @ApiOperation({ summary: 'What is to be studied now, most overdue first' })
  @Fresh()
  @Answers(200, DueAnswer)
  listDue(@CurrentActor() actor: Learner, @Query({ schema: DueQuery }) { limit }: z.infer<typeof DueQuery>) {
    return this.queries.execute(new ListDue(actor, limit));
  }

  @Get('stats')
  @ApiOperation({ summary: 'What was studied: retention, reviews and minutes a day, streak' })
  @Fresh()
  @Answers(200, StatsAnswer)
  getStats(
    @CurrentActor() actor: Learner,
    @Query({ schema: StatsQuery }) query: z.infer<typeof StatsQuery>,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetStats(actor, query, readToken));
  }

  @Get('forecast')
  @ApiOperation({ summary: 'What will be due in the next days' })
  @Fresh()
  @Answers(200, ForecastAnswer)
  getForecast(
    @CurrentActor() actor: Learner,
    @Query({ schema: ForecastQuery }) { days }: z.infer<typeof ForecastQuery>,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetForecast(actor, days, readToken));
  }
}
