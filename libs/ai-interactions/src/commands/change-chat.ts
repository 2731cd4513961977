import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { ChatChanged } from '../ai-interactions.events';
import type { ChatChanges } from '../domain/chat.entity';
import { chatModel, type ChatView } from '../queries/chat.read-model';
import { lockChat } from './lock-chat';

/** Changes what is given: renames a chat, archives or pins it, or takes that back. */
export class ChangeChat extends Command<Written<ChatView>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
    readonly changes: ChatChanges,
    readonly ifMatch?: string,
    readonly now = new Date(),
  ) {
    super();
  }
}

@CommandHandler(ChangeChat)
export class ChangeChatHandler implements ICommandHandler<ChangeChat> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, chatId, changes, ifMatch, now }: ChangeChat): Promise<Written<ChatView>> {
    return this.unitOfWork.run<ChatView>(actor, async (tx) => {
      const chat = await lockChat(tx, actor, chatId);
      expectVersion(chat, ifMatch);
      chat.change(changes, now);
      tx.record(new ChatChanged(actor.userId, chatId, Object.keys(changes)));
      return tx.view(chatModel, actor.userId, { chatId, after: 0, limit: 50 });
    });
  }
}
