import { randomUUID } from 'node:crypto';
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { takeInChunks, type Learner } from '@studently/platform';
import {
  AddStudyItem,
  ChangeStudyItem,
  DeleteStudyItem,
  GetStudyItem,
  ImportedStudyItem,
  ImportStudyItems,
  ListReviews,
  ListStudyItems,
  readStudyCsv,
  readStudyNdjson,
  ReviewItem,
  UndoReview,
} from '@studently/study';
import type { z } from 'zod';
import { Answers, Bulk, Fresh, Idempotent, Versioned } from '../http/openapi';
import { BulkBody, CurrentActor, IfMatch, ReadToken, type BulkRequest } from '../http/request';
import { Id, pageOf, PageQuery } from '../http/schemas';
import { ItemAnswer, ItemBody, ItemPatch, ItemsQuery, ReviewBody, ReviewedAnswer, ReviewEntry } from './study.schemas';

@ApiTags('study')
@ApiBearerAuth()
@Controller('v1/study/items')
export class StudyItemsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Add a flashcard, a note or a quiz' })
  @Idempotent()
  @Answers(201, ItemAnswer)
  addStudyItem(@CurrentActor() actor: Learner, @Body({ schema: ItemBody }) body: z.infer<typeof ItemBody>) {
    return this.commands.execute(new AddStudyItem(actor, { ...body, id: body.id ?? randomUUID() }));
  }

  @Post('bulk')
  @ApiOperation({ summary: 'Add study items in bulk, one JSON object a line, or as CSV' })
  @HttpCode(200)
  @Bulk(ImportedStudyItem, 'application/x-ndjson', 'text/csv')
  importStudyItems(
    @CurrentActor() actor: Learner,
    @BulkBody(['application/x-ndjson', 'text/csv']) { source, mediaType, batchId, stillMay }: BulkRequest,
  ) {
    const lines = mediaType === 'text/csv' ? readStudyCsv(source) : readStudyNdjson(source);
    return takeInChunks(lines, async (chunk) => {
      await stillMay();
      return this.commands.execute(new ImportStudyItems(actor, chunk, batchId));
    });
  }

  @Get()
  @ApiOperation({ summary: 'List study items by type or tag' })
  @Answers(200, pageOf(ItemAnswer))
  listStudyItems(@CurrentActor() actor: Learner, @Query({ schema: ItemsQuery }) query: z.infer<typeof ItemsQuery>) {
    return this.queries.execute(new ListStudyItems(actor, query, query));
  }

  @Get(':itemId')
  @ApiOperation({ summary: 'A study item with its schedule' })
  @Fresh()
  @Answers(200, ItemAnswer)
  getStudyItem(
    @CurrentActor() actor: Learner,
    @Param('itemId', { schema: Id }) itemId: string,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetStudyItem(actor, itemId, readToken));
  }

  @Patch(':itemId')
  @ApiOperation({ summary: 'Change the content, the type or the tags of a study item' })
  @Idempotent()
  @Versioned()
  @Answers(200, ItemAnswer)
  changeStudyItem(
    @CurrentActor() actor: Learner,
    @Param('itemId', { schema: Id }) itemId: string,
    @Body({ schema: ItemPatch }) body: z.infer<typeof ItemPatch>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new ChangeStudyItem(actor, itemId, body, ifMatch));
  }

  @Delete(':itemId')
  @ApiOperation({ summary: 'Delete a study item with its reviews' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  deleteStudyItem(
    @CurrentActor() actor: Learner,
    @Param('itemId', { schema: Id }) itemId: string,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new DeleteStudyItem(actor, itemId, ifMatch));
  }

  @Post(':itemId/reviews')
  @ApiOperation({ summary: 'Review a study item: 1 again, 2 hard, 3 good, 4 easy' })
  @Idempotent()
  @Answers(201, ReviewedAnswer)
  reviewItem(
    @CurrentActor() actor: Learner,
    @Param('itemId', { schema: Id }) itemId: string,
    @Body({ schema: ReviewBody }) body: z.infer<typeof ReviewBody>,
  ) {
    return this.commands.execute(new ReviewItem(actor, itemId, body));
  }

  @Get(':itemId/reviews')
  @ApiOperation({ summary: 'List the reviews of a study item' })
  @Answers(200, pageOf(ReviewEntry))
  listReviews(
    @CurrentActor() actor: Learner,
    @Param('itemId', { schema: Id }) itemId: string,
    @Query({ schema: PageQuery }) query: z.infer<typeof PageQuery>,
  ) {
    return this.queries.execute(new ListReviews(actor, itemId, query));
  }

  @Post(':itemId/reviews/undo')
  @ApiOperation({ summary: 'Take the last review back; the item is what it was before' })
  @HttpCode(200)
  @Idempotent()
  @Answers(200, ItemAnswer, 'The item as it was before')
  undoReview(@CurrentActor() actor: Learner, @Param('itemId', { schema: Id }) itemId: string) {
    return this.commands.execute(new UndoReview(actor, itemId));
  }
}
