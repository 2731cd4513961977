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

/**
 * Adds a message at the end of a chat. However many do it at once, the sequence has no gap and no double.
 * With the parent of another message it is that one's other version: an edited question, a regenerated answer.
 */
export class AppendMessage extends Command<Written<AppendedMessage>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
    /** `parentId`: what it answers, by default the message before it; null: nothing, it begins the chat anew. */
    readonly message: NewMessage & { parentId?: string | null },
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
      const parentSeq = typeof parentId === 'string' ? await this.seqOf(tx, actor, chatId, parentId) : parentId;
      const leavesJob = chat.leavesJob;
      const appended = chat.append(message, await tx.cipher(actor.userId), parentSeq);
      tx.em.persist(appended);
      tx.record(new MessageAppended(actor.userId, chatId, appended.seq, leavesJob));
      return View.of({ id: appended.id, seq: appended.seq });
    });
  }

  private async seqOf(tx: Transaction, { userId }: Learner, chatId: string, messageId: string): Promise<number> {
    const parent = await tx.em.findOne(ChatMessage, { userId, id: messageId, chat: [userId, chatId] });
    if (!parent) throw new ParentUnknown();
    return parent.seq;
  }
}
