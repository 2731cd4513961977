import { randomUUID } from 'node:crypto';
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Learner } from '@studently/platform';
import { ChangeProgress, DeleteProgress, GetProgress, GetProgressSeries, ListProgress, RecordProgress } from '@studently/study';
import type { z } from 'zod';
import { Answers, Fresh, Idempotent, Versioned } from '../http/openapi';
import { CurrentActor, IfMatch, ReadToken } from '../http/request';
import { Id } from '../http/schemas';
import { ProgressAnswer, ProgressBody, ProgressListAnswer, ProgressPatch, ProgressQuery } from './progress.schemas';

@ApiTags('progress')
@ApiBearerAuth()
@Controller('v1/progress')
export class ProgressController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Record a score in a category' })
  @Idempotent()
  @Answers(201, ProgressAnswer)
  recordProgress(@CurrentActor() actor: Learner, @Body({ schema: ProgressBody }) body: z.infer<typeof ProgressBody>) {
    return this.commands.execute(new RecordProgress(actor, { ...body, id: body.id ?? randomUUID() }));
  }

  @Get()
  @ApiOperation({ summary: 'List progress, or its course by hour, day or week' })
  @Fresh()
  @Answers(200, ProgressListAnswer, 'A page of entries, the latest first; with `bucket` a series, without empty buckets')
  async listProgress(
    @CurrentActor() actor: Learner,
    @Query({ schema: ProgressQuery }) { bucket, ...query }: z.infer<typeof ProgressQuery>,
    @ReadToken() readToken?: string,
  ) {
    return bucket === undefined
      ? this.queries.execute(new ListProgress(actor, query, query, readToken))
      : this.queries.execute(new GetProgressSeries(actor, query, bucket, readToken));
  }

  @Get(':progressId')
  @ApiOperation({ summary: 'An entry of progress' })
  @Fresh()
  @Answers(200, ProgressAnswer)
  getProgress(
    @CurrentActor() actor: Learner,
    @Param('progressId', { schema: Id }) progressId: string,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetProgress(actor, progressId, readToken));
  }

  @Patch(':progressId')
  @ApiOperation({ summary: 'Change an entry of progress' })
  @Idempotent()
  @Versioned()
  @Answers(200, ProgressAnswer)
  changeProgress(
    @CurrentActor() actor: Learner,
    @Param('progressId', { schema: Id }) progressId: string,
    @Body({ schema: ProgressPatch }) body: z.infer<typeof ProgressPatch>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new ChangeProgress(actor, progressId, body, ifMatch));
  }

  @Delete(':progressId')
  @ApiOperation({ summary: 'Delete an entry of progress' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  deleteProgress(
    @CurrentActor() actor: Learner,
    @Param('progressId', { schema: Id }) progressId: string,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new DeleteProgress(actor, progressId, ifMatch));
  }
}
