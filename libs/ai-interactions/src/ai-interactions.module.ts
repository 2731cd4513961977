import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Jobs, ReadModels } from '@studently/platform';
import { makeCounterProvider, makeGaugeProvider } from '@willsoto/nestjs-prometheus';
import { AddDocumentHandler } from './commands/add-document';
import { AppendMessageHandler } from './commands/append-message';
import { ChangeDocumentHandler } from './commands/change-document';
import { DeleteChatHandler } from './commands/delete-chat';
import { DeleteDocumentHandler } from './commands/delete-document';
import { ImportDocumentsHandler } from './commands/import-documents';
import { KeepEmbeddingHandler } from './commands/keep-embedding';
import { PublishDocumentHandler } from './commands/publish-document';
import { RenameChatHandler } from './commands/rename-chat';
import { SetContextVectorHandler } from './commands/set-context-vector';
import { StartChatHandler } from './commands/start-chat';
import { UnpublishDocumentHandler } from './commands/unpublish-document';
import { Chat, ChatMessage } from './domain/chat.entity';
import { Document } from './domain/document.entity';
import { DocumentAdded, DocumentChanged, DocumentsImported } from './ai-interactions.events';
import { EMBED_DOCUMENT, EMBEDDED_PASSAGES, EmbedDocument, FAILED_DOCUMENTS } from './embeddings/embed-document';
import { LocalEmbeddings } from './embeddings/local-embeddings';
import { chatModel } from './queries/chat.read-model';
import { CountDocumentsHandler } from './queries/count-documents';
import { documentModel } from './queries/document.read-model';
import { ExportChatHandler } from './queries/export-chat';
import { GetChatHandler } from './queries/get-chat';
import { GetDocumentHandler } from './queries/get-document';
import { ListChatsHandler } from './queries/list-chats';
import { ListDocumentsHandler } from './queries/list-documents';
import { ListSharedDocumentsHandler } from './queries/list-shared-documents';
import { FoundPassages } from './queries/search/found-passages';
import { Highlights } from './queries/search/highlights';
import { NearestPassages } from './queries/search/nearest-passages';
import { RECALL, RECALL_BOUND, RecallMonitor } from './queries/search/recall-monitor';
import { SharedFoundPassages } from './queries/search/shared-found';
import { SharedNearestPassages } from './queries/search/shared-nearest';
import { SharedWordedPassages } from './queries/search/shared-words';
import { VectorSpaces } from './queries/search/vector-spaces';
import { WordedPassages } from './queries/search/worded-passages';
import { SearchDocumentsHandler } from './queries/search-documents';

const metrics = [
  makeCounterProvider({ name: EMBEDDED_PASSAGES, help: 'Passages that were embedded' }),
  makeCounterProvider({ name: FAILED_DOCUMENTS, help: 'Documents that could not be embedded' }),
  makeGaugeProvider({ name: RECALL, help: 'Share of the nearest passages that the latest checked searches have found' }),
  makeGaugeProvider({ name: RECALL_BOUND, help: 'The same, at least, with 95 % confidence' }),
];

/** A long one slows the others down, and holds up none. */
const DOCUMENTS_AT_ONCE = 3;

/** What learners asked the AI and what it answered, and the documents that they can search. */
@Module({
  imports: [MikroOrmModule.forFeature([Chat, ChatMessage, Document])],
  providers: [
    StartChatHandler,
    AppendMessageHandler,
    RenameChatHandler,
    DeleteChatHandler,
    SetContextVectorHandler,
    GetChatHandler,
    ListChatsHandler,
    ExportChatHandler,
    AddDocumentHandler,
    ChangeDocumentHandler,
    DeleteDocumentHandler,
    PublishDocumentHandler,
    UnpublishDocumentHandler,
    ImportDocumentsHandler,
    GetDocumentHandler,
    ListDocumentsHandler,
    ListSharedDocumentsHandler,
    CountDocumentsHandler,
    SearchDocumentsHandler,
    NearestPassages,
    WordedPassages,
    FoundPassages,
    SharedNearestPassages,
    SharedWordedPassages,
    SharedFoundPassages,
    Highlights,
    RecallMonitor,
    VectorSpaces,
    KeepEmbeddingHandler,
    LocalEmbeddings,
    EmbedDocument,
    ...metrics,
  ],
})
export class AiInteractionsModule implements OnModuleInit {
  constructor(
    private readonly readModels: ReadModels,
    private readonly jobs: Jobs,
    private readonly embedDocument: EmbedDocument,
  ) {}

  onModuleInit(): void {
    this.readModels.register(chatModel);
    this.readModels.register(documentModel);
    this.jobs.register(EMBED_DOCUMENT, this.embedDocument, DOCUMENTS_AT_ONCE);
    const itself = (event: { subjectId: string; toBeEmbedded: boolean }) => (event.toBeEmbedded ? [event.subjectId] : []);
    this.jobs.on(DocumentAdded, EMBED_DOCUMENT, itself);
    this.jobs.on(DocumentChanged, EMBED_DOCUMENT, itself);
    this.jobs.on(DocumentsImported, EMBED_DOCUMENT, ({ idsToEmbed }) => idsToEmbed);
  }
}
