import { LockMode } from '@mikro-orm/core';
import { NotFound, type Learner, type Transaction } from '@studently/platform';
import { Chat } from '../domain/chat.entity';

/** The learner's chat, locked until the command has committed: appends to it queue up here. */
export async function lockChat(tx: Transaction, actor: Learner, chatId: string): Promise<Chat> {
  const chat = await tx.em.findOne(Chat, { userId: actor.userId, id: chatId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  if (!chat) throw new NotFound('chat');
  return chat;
}
