import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { ChatContextChanged } from '../ai-interactions.events';
import { lockChat } from './lock-chat';

/** Keeps what a chat is about, as a model has seen it. */
export class SetContextVector extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
    readonly context: { vector: number[]; model: string },
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(SetContextVector)
export class SetContextVectorHandler implements ICommandHandler<SetContextVector> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, chatId, context, ifMatch }: SetContextVector): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const chat = await lockChat(tx, actor, chatId);
      expectVersion(chat, ifMatch);
      chat.isAbout(context.vector, context.model);
      tx.record(new ChatContextChanged(actor.userId, chatId, ['contextVector']));
    });
  }
}
