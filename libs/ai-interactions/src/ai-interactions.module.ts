import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { ReadModels } from '@studently/platform';
import { AppendMessageHandler } from './commands/append-message';
import { DeleteChatHandler } from './commands/delete-chat';
import { RenameChatHandler } from './commands/rename-chat';
import { StartChatHandler } from './commands/start-chat';
import { Chat, ChatMessage } from './domain/chat.entity';
import { chatModel } from './queries/chat.read-model';
import { ExportChatHandler } from './queries/export-chat';
import { GetChatHandler } from './queries/get-chat';
import { ListChatsHandler } from './queries/list-chats';

/** What learners asked the AI and what it answered. */
@Module({
  imports: [MikroOrmModule.forFeature([Chat, ChatMessage])],
  providers: [
    StartChatHandler,
    AppendMessageHandler,
    RenameChatHandler,
    DeleteChatHandler,
    GetChatHandler,
    ListChatsHandler,
    ExportChatHandler,
  ],
})
export class AiInteractionsModule implements OnModuleInit {
  constructor(private readonly readModels: ReadModels) {}

  onModuleInit(): void {
    this.readModels.register(chatModel);
  }
}
