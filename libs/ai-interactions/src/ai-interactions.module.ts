import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Jobs, ReadModels } from '@studently/platform';
import { makeCounterProvider, makeGaugeProvider, makeHistogramProvider } from '@willsoto/nestjs-prometheus';
import { AddDocumentHandler } from './commands/add-document';
import { AppendMessageHandler } from './commands/append-message';
import { ChangeChatHandler } from './commands/change-chat';
import { ChangeDocumentHandler } from './commands/change-document';
import { DeleteChatHandler } from './commands/delete-chat';
import { DeleteDocumentHandler } from './commands/delete-document';
import { ImportDocumentsHandler } from './commands/import-documents';
import { KeepEmbeddingHandler } from './commands/keep-embedding';
import { PublishDocumentHandler } from './commands/publish-document';
import { SetContextVectorHandler } from './commands/set-context-vector';
import { StartChatHandler } from './commands/start-chat';
import { UnpublishDocumentHandler } from './commands/unpublish-document';
import { Chat, ChatMessage } from './domain/chat.entity';
import { Document } from './domain/document.entity';
import { ChatStarted, DocumentAdded, DocumentChanged, DocumentsImported, MessageAppended } from './ai-interactions.events';
import { EMBED_CHAT, EMBEDDED_TURNS, EmbedChat } from './embeddings/embed-chat';
import { EMBED_DOCUMENT, EMBEDDED_PASSAGES, EmbedDocument, FAILED_DOCUMENTS } from './embeddings/embed-document';
import { embeddingModelsProvider } from './embeddings/embedding-models';
import { FILL_CHAT, FillChat } from './embeddings/fill-chat';
import { FILL_DOCUMENT, FillDocument } from './embeddings/fill-document';
import { ModelChoice } from './embeddings/model-choice';
import { RecallGate } from './embeddings/recall-gate';
import { SpaceFiller } from './embeddings/space-filler';
import { EMBEDDING_CALLS } from './embeddings/openai-embeddings';
import { branchModel, chatModel } from './queries/chat.read-model';
import { ChatTurns } from './queries/context/chat-turns';
import { ContextFinder } from './queries/context/context-finder';
import { CountDocumentsHandler } from './queries/count-documents';
import { documentModel } from './queries/document.read-model';
import { ExportChatHandler } from './queries/export-chat';
import { GetChatHandler } from './queries/get-chat';
import { GetContextHandler } from './queries/get-context';
import { GetDocumentHandler } from './queries/get-document';
import { ListChatsHandler } from './queries/list-chats';
import { ListDocumentsHandler } from './queries/list-documents';
import { ListLeavesHandler } from './queries/list-leaves';
import { ListSharedDocumentsHandler } from './queries/list-shared-documents';
import { SearchChatsHandler } from './queries/search-chats';
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
  makeCounterProvider({
    name: EMBEDDED_TURNS,
    help: 'Messages that can be found: by meaning and words (embedded), or by words alone',
    labelNames: ['outcome'],
  }),
  makeCounterProvider({ name: FAILED_DOCUMENTS, help: 'Documents that could not be embedded' }),
  makeGaugeProvider({ name: RECALL, help: 'Share of the nearest passages that the latest checked searches have found' }),
  makeGaugeProvider({ name: RECALL_BOUND, help: 'The same, at least, with 95 % confidence' }),
  makeHistogramProvider({
    name: EMBEDDING_CALLS,
    help: 'Calls of the embeddings endpoint by purpose (question, passages) and outcome',
    labelNames: ['purpose', 'outcome'],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  }),
];

/** Documents, and chats. A long one slows the others down, and holds up none. */
const EMBEDDED_AT_ONCE = 3;

/** What learners asked the AI and what it answered, and the documents that they can search. */
@Module({
  imports: [MikroOrmModule.forFeature([Chat, ChatMessage, Document])],
  providers: [
    StartChatHandler,
    AppendMessageHandler,
    ChangeChatHandler,
    DeleteChatHandler,
    SetContextVectorHandler,
    GetChatHandler,
    ListChatsHandler,
    ListLeavesHandler,
    ExportChatHandler,
    SearchChatsHandler,
    GetContextHandler,
    ContextFinder,
    ChatTurns,
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
    embeddingModelsProvider,
    ModelChoice,
    FillDocument,
    FillChat,
    SpaceFiller,
    RecallGate,
    EmbedDocument,
    EmbedChat,
    ...metrics,
  ],
})
export class AiInteractionsModule implements OnModuleInit {
  constructor(
    private readonly readModels: ReadModels,
    private readonly jobs: Jobs,
    private readonly embedDocument: EmbedDocument,
    private readonly embedChat: EmbedChat,
    private readonly fillDocument: FillDocument,
    private readonly fillChat: FillChat,
  ) {}

  onModuleInit(): void {
    this.readModels.register(chatModel);
    this.readModels.register(branchModel);
    this.readModels.register(documentModel);
    this.jobs.register(EMBED_DOCUMENT, this.embedDocument, EMBEDDED_AT_ONCE);
    this.jobs.register(FILL_DOCUMENT, this.fillDocument, EMBEDDED_AT_ONCE);
    this.jobs.register(FILL_CHAT, this.fillChat, EMBEDDED_AT_ONCE);
    const itself = (event: { subjectId: string; toBeEmbedded: boolean }) => (event.toBeEmbedded ? [event.subjectId] : []);
    this.jobs.on(DocumentAdded, EMBED_DOCUMENT, itself);
    this.jobs.on(DocumentChanged, EMBED_DOCUMENT, itself);
    this.jobs.on(DocumentsImported, EMBED_DOCUMENT, ({ idsToEmbed }) => idsToEmbed);
    this.jobs.register(EMBED_CHAT, this.embedChat, EMBEDDED_AT_ONCE);
    this.jobs.on(ChatStarted, EMBED_CHAT, itself);
    this.jobs.on(MessageAppended, EMBED_CHAT, itself);
  }
}
