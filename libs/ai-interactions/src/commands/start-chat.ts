import { isDeepStrictEqual } from 'node:util';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { IdTaken, UnitOfWork, type Learner, type Transaction, type Written } from '@studently/platform';
import { ChatStarted } from '../ai-interactions.events';
import { Chat, ChatMessage, type NewMessage } from '../domain/chat.entity';
import { chatModel, type ChatView } from '../queries/chat.read-model';

export interface NewChat {
  id: string;
  title: string;
  messages?: NewMessage[];
}

/** Messages that the answer shows at most. */
const SHOWN = 200;

/** Starts a chat, perhaps with messages. Starting the same chat twice is once. */
export class StartChat extends Command<Written<ChatView>> {
  constructor(
    readonly actor: Learner,
    readonly chat: NewChat,
  ) {
    super();
  }
}

@CommandHandler(StartChat)
export class StartChatHandler implements ICommandHandler<StartChat> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, chat: wanted }: StartChat): Promise<Written<ChatView>> {
    return this.unitOfWork.run<ChatView>(actor, async (tx) => {
      const existing = await tx.em.findOne(Chat, { userId: actor.userId, id: wanted.id });
      if (existing) {
        await this.assertSame(tx, existing, wanted);
        tx.existed();
      } else {
        const chat = Chat.start(actor.userId, wanted.id, wanted.title);
        const cipher = await tx.cipher(actor.userId);
        const messages = (wanted.messages ?? []).map((message) => chat.append(message, cipher));
        tx.em.persist([chat, ...messages]);
        tx.record(new ChatStarted(actor.userId, chat.id, messages.length > 0));
      }
      return tx.view(chatModel, actor.userId, { chatId: wanted.id, after: 0, limit: SHOWN });
    });
  }

  /** The chat is the one that is wanted if it has that title and begins with those messages. @throws IdTaken */
  private async assertSame(tx: Transaction, chat: Chat, wanted: NewChat): Promise<void> {
    const messages = wanted.messages ?? [];
    const first = await tx.em.find(
      ChatMessage,
      { userId: chat.userId, chat },
      { orderBy: { seq: 'asc' }, limit: messages.length || 1 },
    );
    const cipher = await tx.cipher(chat.userId);
    const same =
      chat.title === wanted.title &&
      messages.every(
        ({ role, content, metadata = {} }, index) =>
          first[index]?.role === role &&
          first[index].text(cipher) === content &&
          isDeepStrictEqual(first[index].metadata, metadata),
      );
    if (!same) throw new IdTaken();
  }
}
