import { Controller, Get, Param, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers, Fresh } from '../http/openapi';
import { GetChat, GetDocument, ListChats, ListDocuments } from '@studently/ai-interactions';
import { CurrentTeacher, ReadToken } from '../http/request';
import { Id, pageOf } from '../http/schemas';
import { ChatAnswer, ChatsQuery, ChatSummaryAnswer, MessagesQuery } from './chats.schemas';
import { DocumentAnswer, DocumentsQuery, DocumentSummaryAnswer } from './documents.schemas';

/** What learners have granted a teacher to read of their documents and chats: the same queries, read-only. */
@ApiTags('learners')
@ApiBearerAuth()
@Controller('v1/learners/:userId')
export class LearnerTextsController {
  constructor(private readonly queries: QueryBus) {}

  @Get('documents')
  @ApiOperation({ summary: 'List the documents of a learner, as a teacher' })
  @Fresh()
  @Answers(200, pageOf(DocumentSummaryAnswer))
  listLearnerDocuments(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Query({ schema: DocumentsQuery }) query: z.infer<typeof DocumentsQuery>,
  ) {
    return this.queries.execute(new ListDocuments(teacher, query, query));
  }

  @Get('documents/:documentId')
  @ApiOperation({ summary: 'A document of a learner, as a teacher' })
  @Fresh()
  @Answers(200, DocumentAnswer)
  getLearnerDocument(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Param('documentId', { schema: Id }) documentId: string,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetDocument(teacher, documentId, readToken));
  }

  @Get('chats')
  @ApiOperation({ summary: 'List the chats of a learner, as a teacher' })
  @Fresh()
  @Answers(200, pageOf(ChatSummaryAnswer))
  listLearnerChats(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Query({ schema: ChatsQuery }) query: z.infer<typeof ChatsQuery>,
  ) {
    return this.queries.execute(new ListChats(teacher, query, query));
  }

  @Get('chats/:chatId')
  @ApiOperation({ summary: 'A chat of a learner with its messages, as a teacher' })
  @Fresh()
  @Answers(200, ChatAnswer)
  getLearnerChat(
    @CurrentTeacher() teacher: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Param('chatId', { schema: Id }) chatId: string,
    @Query({ schema: MessagesQuery }) query: z.infer<typeof MessagesQuery>,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetChat(teacher, { chatId, ...query }, readToken));
  }
}
