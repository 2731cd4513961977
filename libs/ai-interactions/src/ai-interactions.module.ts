import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { ReadModels } from '@studently/platform';
import { makeCounterProvider, makeGaugeProvider } from '@willsoto/nestjs-prometheus';
import { AddDocumentHandler } from './commands/add-document';
import { AppendMessageHandler } from './commands/append-message';
import { ChangeDocumentHandler } from './commands/change-document';
import { DeleteChatHandler } from './commands/delete-chat';
import { DeleteDocumentHandler } from './commands/delete-document';
import { ImportDocumentsHandler } from './commands/import-documents';
import { KeepEmbeddingHandler } from './commands/keep-embedding';
import { RenameChatHandler } from './commands/rename-chat';
import { SetContextVectorHandler } from './commands/set-context-vector';
import { StartChatHandler } from './commands/start-chat';
import { Chat, ChatMessage } from './domain/chat.entity';
import { Document } from './domain/document.entity';
import { EMBEDDED_PASSAGES, EMBEDDING_JOBS, EmbeddingJobs, FAILED_DOCUMENTS } from './embeddings/embedding-jobs';
import { LocalEmbeddings } from './embeddings/local-embeddings';
import { chatModel } from './queries/chat.read-model';
import { CountDocumentsHandler } from './queries/count-documents';
import { documentModel } from './queries/document.read-model';
import { ExportChatHandler } from './queries/export-chat';
import { GetChatHandler } from './queries/get-chat';
import { GetDocumentHandler } from './queries/get-document';
import { ListChatsHandler } from './queries/list-chats';
import { ListDocumentsHandler } from './queries/list-documents';
import { SearchDocumentsHandler } from './queries/search-documents';

const metrics = [
  makeGaugeProvider({ name: EMBEDDING_JOBS, help: 'Documents that wait to be embedded' }),
  makeCounterProvider({ name: EMBEDDED_PASSAGES, help: 'Passages that were embedded' }),
  makeCounterProvider({ name: FAILED_DOCUMENTS, help: 'Documents that could not be embedded' }),
];

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
    ImportDocumentsHandler,
    GetDocumentHandler,
    ListDocumentsHandler,
    CountDocumentsHandler,
    SearchDocumentsHandler,
    KeepEmbeddingHandler,
    LocalEmbeddings,
    EmbeddingJobs,
    ...metrics,
  ],
})
export class AiInteractionsModule implements OnModuleInit {
  constructor(private readonly readModels: ReadModels) {}

  onModuleInit(): void {
    this.readModels.register(chatModel);
    this.readModels.register(documentModel);
  }
}
