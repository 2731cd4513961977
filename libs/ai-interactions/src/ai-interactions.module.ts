import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { ReadModels } from '@studently/platform';
import { AddDocumentHandler } from './commands/add-document';
import { AppendMessageHandler } from './commands/append-message';
import { ChangeDocumentHandler } from './commands/change-document';
import { DeleteChatHandler } from './commands/delete-chat';
import { DeleteDocumentHandler } from './commands/delete-document';
import { ImportDocumentsHandler } from './commands/import-documents';
import { RenameChatHandler } from './commands/rename-chat';
import { StartChatHandler } from './commands/start-chat';
import { Chat, ChatMessage } from './domain/chat.entity';
import { Document } from './domain/document.entity';
import { chatModel } from './queries/chat.read-model';
import { CountDocumentsHandler } from './queries/count-documents';
import { documentModel } from './queries/document.read-model';
import { ExportChatHandler } from './queries/export-chat';
import { GetChatHandler } from './queries/get-chat';
import { GetDocumentHandler } from './queries/get-document';
import { ListChatsHandler } from './queries/list-chats';
import { ListDocumentsHandler } from './queries/list-documents';

/** What learners asked the AI and what it answered, and the documents that they can search. */
@Module({
  imports: [MikroOrmModule.forFeature([Chat, ChatMessage, Document])],
  providers: [
    StartChatHandler,
    AppendMessageHandler,
    RenameChatHandler,
    DeleteChatHandler,
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
  ],
})
export class AiInteractionsModule implements OnModuleInit {
  constructor(private readonly readModels: ReadModels) {}

  onModuleInit(): void {
    this.readModels.register(chatModel);
    this.readModels.register(documentModel);
  }
}
