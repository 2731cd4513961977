import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, View, type Learner, type Transaction, type Written } from '@studently/platform';
import { MessageAppended } from '../ai-interactions.events';
import { ChatMessage, type NewMessage } from '../domain/chat.entity';
import { ParentUnknown } from '../domain/chat.errors';
import { lockChat } from './lock-chat';

export interface AppendedMessage {
  id: string;
  seq: number;
}

/** Adds a message at the end of a chat. However many do it at once, the sequence has no gap and no double. */
export class AppendMessage extends Command<Written<AppendedMessage>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
    readonly message: NewMessage & { parentId?: string },
  ) {
    super();
  }
}

@CommandHandler(AppendMessage)
export class AppendMessageHandler implements ICommandHandler<AppendMessage> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, chatId, message: { parentId, ...message } }: AppendMessage): Promise<Written<AppendedMessage>> {
    return this.unitOfWork.run<AppendedMessage>(actor, async (tx) => {
      const chat = await lockChat(tx, actor, chatId);
      const parentSeq = parentId === undefined ? undefined : await this.seqOf(tx, actor, chatId, parentId);
      const appended = chat.append(message, await tx.cipher(actor.userId), parentSeq);
      tx.em.persist(appended);
      tx.record(new MessageAppended(actor.userId, chatId, appended.seq));
      return View.of({ id: appended.id, seq: appended.seq });
    });
  }

  private async seqOf(tx: Transaction, { userId }: Learner, chatId: string, messageId: string): Promise<number> {
    const parent = await tx.em.findOne(ChatMessage, { userId, id: messageId, chat: [userId, chatId] });
    if (!parent) throw new ParentUnknown();
    return parent.seq;
  }
}
