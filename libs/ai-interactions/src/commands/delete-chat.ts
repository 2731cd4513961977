import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { ChatDeleted } from '../ai-interactions.events';
import { lockChat } from './lock-chat';

/** Deletes a chat with its messages. */
export class DeleteChat extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(DeleteChat)
export class DeleteChatHandler implements ICommandHandler<DeleteChat> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, chatId, ifMatch }: DeleteChat): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const chat = await lockChat(tx, actor, chatId);
      expectVersion(chat, ifMatch);
      tx.em.remove(chat);
      tx.record(new ChatDeleted(actor.userId, chatId));
    });
  }
}
