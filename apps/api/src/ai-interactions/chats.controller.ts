import { randomUUID } from 'node:crypto';
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query, Res } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import {
  AppendMessage,
  ChangeChat,
  DeleteChat,
  ExportChat,
  GetChat,
  GetContext,
  ListChats,
  ListLeaves,
  readVector,
  SearchChats,
  SetContextVector,
  StartChat,
} from '@studently/ai-interactions';
import type { Learner, View } from '@studently/platform';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { Answers, AnswersText, Fresh, Idempotent, Versioned } from '../http/openapi';
import { CurrentActor, IfMatch, ReadToken } from '../http/request';
import { Id, pageOf } from '../http/schemas';
import {
  AppendedAnswer,
  ChatAnswer,
  ChatBody,
  ChatPatch,
  ChatSearchAnswer,
  ChatSearchBody,
  ChatsQuery,
  ChatSummaryAnswer,
  ContextAnswer,
  ContextBody,
  ContextVectorBody,
  ExportQuery,
  LeavesAnswer,
  MARKDOWN,
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
  @ApiOperation({ summary: 'Start a chat, with its first messages if there are any' })
  @Idempotent()
  @Answers(201, ChatAnswer)
  startChat(@CurrentActor() actor: Learner, @Body({ schema: ChatBody }) body: z.infer<typeof ChatBody>) {
    const messages = body.messages?.map((message) => ({ ...message, id: randomUUID() }));
    return this.commands.execute(new StartChat(actor, { ...body, id: body.id ?? randomUUID(), messages }));
  }

  @Get()
  @ApiOperation({ summary: 'List chats, also by a title that is nearly right' })
  @Answers(200, pageOf(ChatSummaryAnswer))
  listChats(@CurrentActor() actor: Learner, @Query({ schema: ChatsQuery }) query: z.infer<typeof ChatsQuery>) {
    return this.queries.execute(new ListChats(actor, query, query));
  }

  @Post('search')
  @ApiOperation({ summary: 'Search chats by the words and the meaning of what was said in them' })
  @HttpCode(200)
  @Answers(200, ChatSearchAnswer, 'Chats, best first, each with the message that fits best')
  searchChats(@CurrentActor() actor: Learner, @Body({ schema: ChatSearchBody }) body: z.infer<typeof ChatSearchBody>) {
    const vector = body.vector === undefined ? undefined : readVector(body.vector, 'vector');
    return this.queries.execute(new SearchChats(actor, { ...body, vector }));
  }

  @Get(':chatId')
  @ApiOperation({ summary: 'A chat with a page of its messages, or of one branch' })
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

  @Get(':chatId/leaves')
  @ApiOperation({ summary: 'List the last message of each branch of a chat' })
  @Answers(200, LeavesAnswer, 'The last messages of its branches, newest first: the newest 200')
  listLeaves(@CurrentActor() actor: Learner, @Param('chatId', { schema: Id }) chatId: string) {
    return this.queries.execute(new ListLeaves(actor, chatId));
  }

  @Get(':chatId/export')
  @ApiOperation({ summary: 'Export a chat, or one branch, as JSON or Markdown' })
  @Fresh()
  @AnswersText(200, ChatAnswer, MARKDOWN, 'The chat with all of its messages, or with those of one branch')
  async exportChat(
    @CurrentActor() actor: Learner,
    @Param('chatId', { schema: Id }) chatId: string,
    @Query({ schema: ExportQuery }) { format, leaf }: z.infer<typeof ExportQuery>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const view = await this.queries.execute(new ExportChat(actor, chatId, format, leaf));
    if (format === 'markdown') {
      void reply
        .type(`${MARKDOWN}; charset=utf-8`)
        .header('content-disposition', `attachment; filename="chat-${chatId}.md"`)
        .serializer(({ json }: View<unknown>) => json as string);
    }
    return view;
  }

  @Patch(':chatId')
  @ApiOperation({ summary: 'Rename, archive or pin a chat' })
  @Idempotent()
  @Versioned()
  @Answers(200, ChatAnswer)
  changeChat(
    @CurrentActor() actor: Learner,
    @Param('chatId', { schema: Id }) chatId: string,
    @Body({ schema: ChatPatch }) changes: z.infer<typeof ChatPatch>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new ChangeChat(actor, chatId, changes, ifMatch));
  }

  @Put(':chatId/context-vector')
  @ApiOperation({ summary: 'Set the vector by which a chat is found' })
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
  @ApiOperation({ summary: 'Delete a chat with its messages' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  deleteChat(@CurrentActor() actor: Learner, @Param('chatId', { schema: Id }) chatId: string, @IfMatch() ifMatch?: string) {
    return this.commands.execute(new DeleteChat(actor, chatId, ifMatch));
  }

  @Post(':chatId/messages')
  @ApiOperation({ summary: 'Append a message; with `parentId` it begins another branch' })
  @Idempotent()
  @Answers(201, AppendedAnswer)
  appendMessage(
    @CurrentActor() actor: Learner,
    @Param('chatId', { schema: Id }) chatId: string,
    @Body({ schema: MessageBody }) body: z.infer<typeof MessageBody>,
  ) {
    return this.commands.execute(new AppendMessage(actor, chatId, { ...body, id: randomUUID() }));
  }

  @Post(':chatId/context')
  @ApiOperation({
    summary:
      'What to send to a model: recent turns, and what matters of earlier ones and of documents, within a budget of tokens',
  })
  @HttpCode(200)
  @Answers(200, ContextAnswer, 'What to send to a model, within the budget, in this order')
  getContext(
    @CurrentActor() actor: Learner,
    @Param('chatId', { schema: Id }) chatId: string,
    @Body({ schema: ContextBody }) body: z.infer<typeof ContextBody>,
  ) {
    return this.queries.execute(new GetContext(actor, chatId, body));
  }
}
