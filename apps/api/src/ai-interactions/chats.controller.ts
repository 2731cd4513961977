import { randomUUID } from 'node:crypto';
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiTags } from '@nestjs/swagger';
import {
  AppendMessage,
  DeleteChat,
  ExportChat,
  GetChat,
  ListChats,
  readVector,
  RenameChat,
  SetContextVector,
  StartChat,
} from '@studently/ai-interactions';
import type { Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers, Fresh, Idempotent, Versioned } from '../http/openapi';
import { CurrentActor, IfMatch, ReadToken } from '../http/request';
import { Id, pageOf } from '../http/schemas';
import {
  AppendedAnswer,
  ChatAnswer,
  ChatBody,
  ChatPatch,
  ChatsQuery,
  ChatSummaryAnswer,
  ContextVectorBody,
  MessageBody,
  MessagesQuery,
} from './chats.schemas';

@ApiTags('chats')
@ApiBearerAuth()
@Controller('v1/chats')
export class ChatsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @Idempotent()
  @Answers(201, ChatAnswer)
  startChat(@CurrentActor() actor: Learner, @Body({ schema: ChatBody }) body: z.infer<typeof ChatBody>) {
    const messages = body.messages?.map((message) => ({ ...message, id: randomUUID() }));
    return this.commands.execute(new StartChat(actor, { ...body, id: body.id ?? randomUUID(), messages }));
  }

  @Get()
  @Answers(200, pageOf(ChatSummaryAnswer))
  listChats(@CurrentActor() actor: Learner, @Query({ schema: ChatsQuery }) query: z.infer<typeof ChatsQuery>) {
    return this.queries.execute(new ListChats(actor, query, query));
  }

  @Get(':chatId')
  @Fresh()
  @Answers(200, ChatAnswer)
  getChat(
    @CurrentActor() actor: Learner,
    @Param('chatId', { schema: Id }) chatId: string,
    @Query({ schema: MessagesQuery }) query: z.infer<typeof MessagesQuery>,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetChat(actor, { chatId, ...query }, readToken));
  }

  @Get(':chatId/export')
  @Fresh()
  @Answers(200, ChatAnswer, 'The chat with all of its messages')
  exportChat(@CurrentActor() actor: Learner, @Param('chatId', { schema: Id }) chatId: string) {
    return this.queries.execute(new ExportChat(actor, chatId));
  }

  @Patch(':chatId')
  @Idempotent()
  @Versioned()
  @Answers(200, ChatAnswer)
  renameChat(
    @CurrentActor() actor: Learner,
    @Param('chatId', { schema: Id }) chatId: string,
    @Body({ schema: ChatPatch }) { title }: z.infer<typeof ChatPatch>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new RenameChat(actor, chatId, title, ifMatch));
  }

  @Put(':chatId/context-vector')
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  setContextVector(
    @CurrentActor() actor: Learner,
    @Param('chatId', { schema: Id }) chatId: string,
    @Body({ schema: ContextVectorBody }) { vector, model }: z.infer<typeof ContextVectorBody>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new SetContextVector(actor, chatId, { vector: readVector(vector, 'vector'), model }, ifMatch));
  }

  @Delete(':chatId')
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  deleteChat(@CurrentActor() actor: Learner, @Param('chatId', { schema: Id }) chatId: string, @IfMatch() ifMatch?: string) {
    return this.commands.execute(new DeleteChat(actor, chatId, ifMatch));
  }

  @Post(':chatId/messages')
  @Idempotent()
  @Answers(201, AppendedAnswer)
  appendMessage(
    @CurrentActor() actor: Learner,
    @Param('chatId', { schema: Id }) chatId: string,
    @Body({ schema: MessageBody }) body: z.infer<typeof MessageBody>,
  ) {
    return this.commands.execute(new AppendMessage(actor, chatId, { ...body, id: randomUUID() }));
  }
}
