import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query, Res } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import {
  AddDocument,
  ChangeDocument,
  DeleteDocument,
  GetDocument,
  ImportDocuments,
  ListDocuments,
  ListSharedDocuments,
  newDocument,
  PublishDocument,
  readNewDocument,
  readVector,
  SearchDocuments,
  UnpublishDocument,
} from '@studently/ai-interactions';
import { readNdjson, takeInChunks, type Learner } from '@studently/platform';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { Answers, Bulk, Fresh, Idempotent, Versioned } from '../http/openapi';
import { BulkBody, CurrentActor, IfMatch, ReadToken, type BulkRequest } from '../http/request';
import { Id, pageOf } from '../http/schemas';
import {
  DocumentAnswer,
  DocumentBody,
  DocumentPatch,
  DocumentsQuery,
  DocumentSummaryAnswer,
  SearchAnswer,
  SearchBody,
  SharedDocumentAnswer,
} from './documents.schemas';

@ApiTags('documents')
@ApiBearerAuth()
@Controller('v1/documents')
export class DocumentsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Add a document; it is cut into passages and embedded in the background' })
  @Idempotent()
  @Answers(201, DocumentAnswer, 'Ready: the embedding came with it')
  @Answers(202, DocumentAnswer, 'Kept, and embedded in the background')
  addDocument(
    @CurrentActor() actor: Learner,
    @Body({ schema: DocumentBody }) body: z.infer<typeof DocumentBody>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    void reply.code(body.embedding === undefined ? 202 : 201);
    return this.commands.execute(new AddDocument(actor, newDocument(body)));
  }

  @Get()
  @ApiOperation({ summary: 'List documents' })
  @Answers(200, pageOf(DocumentSummaryAnswer))
  listDocuments(@CurrentActor() actor: Learner, @Query({ schema: DocumentsQuery }) query: z.infer<typeof DocumentsQuery>) {
    return this.queries.execute(new ListDocuments(actor, query, query));
  }

  @Post('bulk')
  @ApiOperation({ summary: 'Add documents in bulk, one JSON object a line' })
  @HttpCode(200)
  @Bulk(DocumentBody, 'application/x-ndjson')
  importDocuments(
    @CurrentActor() actor: Learner,
    @BulkBody(['application/x-ndjson']) { source, batchId, stillMay }: BulkRequest,
  ) {
    return takeInChunks(readNdjson(source, readNewDocument), async (chunk) => {
      await stillMay();
      return this.commands.execute(new ImportDocuments(actor, chunk, batchId));
    });
  }

  @Post('search')
  @ApiOperation({ summary: 'Search documents by words, by meaning, or by both' })
  @HttpCode(200)
  @Answers(200, SearchAnswer, 'Passages, best first')
  searchDocuments(@CurrentActor() actor: Learner, @Body({ schema: SearchBody }) body: z.infer<typeof SearchBody>) {
    const vector = body.vector === undefined ? undefined : readVector(body.vector, 'vector');
    return this.queries.execute(new SearchDocuments(actor, { ...body, vector }));
  }

  @Get('shared')
  @ApiOperation({ summary: 'List what teachers and services have published' })
  @Answers(200, pageOf(SharedDocumentAnswer), 'What everybody may search, what was published last first')
  listSharedDocuments(
    @CurrentActor() actor: Learner,
    @Query({ schema: DocumentsQuery }) query: z.infer<typeof DocumentsQuery>,
  ) {
    return this.queries.execute(new ListSharedDocuments(actor, query, query));
  }

  @Get(':documentId')
  @ApiOperation({ summary: 'A document with its content' })
  @Fresh()
  @Answers(200, DocumentAnswer)
  getDocument(
    @CurrentActor() actor: Learner,
    @Param('documentId', { schema: Id }) documentId: string,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetDocument(actor, documentId, readToken));
  }

  @Patch(':documentId')
  @ApiOperation({ summary: 'Change a document; only what has changed is embedded again' })
  @Idempotent()
  @Versioned()
  @Answers(200, DocumentAnswer)
  changeDocument(
    @CurrentActor() actor: Learner,
    @Param('documentId', { schema: Id }) documentId: string,
    @Body({ schema: DocumentPatch }) { embedding, ...changes }: z.infer<typeof DocumentPatch>,
    @IfMatch() ifMatch?: string,
  ) {
    const supplied = embedding === undefined ? {} : { embedding: readVector(embedding, 'embedding') };
    return this.commands.execute(new ChangeDocument(actor, documentId, { ...changes, ...supplied }, ifMatch));
  }

  @Delete(':documentId')
  @ApiOperation({ summary: 'Delete a document with its passages' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  deleteDocument(
    @CurrentActor() actor: Learner,
    @Param('documentId', { schema: Id }) documentId: string,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new DeleteDocument(actor, documentId, ifMatch));
  }

  @Put(':documentId/publication')
  @ApiOperation({ summary: 'Publish a document to everybody' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204, undefined, 'Everybody finds it as it is now. What becomes of it they see when it is published anew')
  publishDocument(
    @CurrentActor() actor: Learner,
    @Param('documentId', { schema: Id }) documentId: string,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new PublishDocument(actor, documentId, ifMatch));
  }

  @Delete(':documentId/publication')
  @ApiOperation({ summary: 'Take back the publication of a document' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204, undefined, 'Nobody but its owner finds it any more')
  unpublishDocument(
    @CurrentActor() actor: Learner,
    @Param('documentId', { schema: Id }) documentId: string,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new UnpublishDocument(actor, documentId, ifMatch));
  }
}
