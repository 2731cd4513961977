import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { ChatRenamed } from '../ai-interactions.events';
import { chatModel, type ChatView } from '../queries/chat.read-model';
import { lockChat } from './lock-chat';

export class RenameChat extends Command<Written<ChatView>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
    readonly title: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(RenameChat)
export class RenameChatHandler implements ICommandHandler<RenameChat> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, chatId, title, ifMatch }: RenameChat): Promise<Written<ChatView>> {
    return this.unitOfWork.run<ChatView>(actor, async (tx) => {
      const chat = await lockChat(tx, actor, chatId);
      expectVersion(chat, ifMatch);
      chat.rename(title);
      tx.record(new ChatRenamed(actor.userId, chatId, ['title']));
      return tx.view(chatModel, actor.userId, { chatId, after: 0, limit: 50 });
    });
  }
}
