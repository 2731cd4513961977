import { Controller, Get, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { ListLearners } from '@studently/identity';
import type { Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers } from '../http/openapi';
import { CurrentActor } from '../http/request';
import { pageOf, PageQuery } from '../http/schemas';
import { SharedLearnerAnswer } from './access.schemas';

/** For a TEACHER: who shares what. */
@ApiTags('learners')
@ApiBearerAuth()
@Controller('v1/learners')
export class LearnersController {
  constructor(private readonly queries: QueryBus) {}

  @Get()
  @ApiOperation({ summary: 'List who shares something with the teacher who asks' })
  @Answers(200, pageOf(SharedLearnerAnswer))
  listLearners(@CurrentActor() actor: Learner, @Query({ schema: PageQuery }) page: z.infer<typeof PageQuery>) {
    return this.queries.execute(new ListLearners(actor, page));
  }
}
