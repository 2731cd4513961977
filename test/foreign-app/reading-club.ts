import { randomUUID } from 'node:crypto';
import { Injectable, Module } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { AiInteractionsModule, AppendMessage, GetChat, StartChat } from '@studently/ai-interactions';
import { GetUser, IdentityModule, RegisterUser } from '@studently/identity';
import { PlatformModule, type DatabaseTarget, type Learner, type Settings } from '@studently/platform';

/**
 * An example of how another Nest application uses the data platform: it imports the modules that it needs and
 * dispatches commands and queries. No HTTP, no entities, no SQL; the types of the answers follow from the messages.
 */
@Injectable()
export class ReadingClub {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  async join(email: string, password: string, firstName: string): Promise<Learner> {
    const profile = { firstName, lastName: 'of the reading club' };
    const { value: user } = await this.commands.execute(new RegisterUser({}, { id: randomUUID(), email, password, profile }));
    return { userId: user.id, role: user.role };
  }

  /** Asks about a book. @returns the chat's id, and a token with which a read sees the question */
  async ask(member: Learner, book: string, question: string): Promise<{ chatId: string; readToken: string }> {
    const { value: chat } = await this.commands.execute(new StartChat(member, { id: randomUUID(), title: book }));
    const asked = new AppendMessage(member, chat.id, { id: randomUUID(), role: 'user', content: question });
    const { readToken } = await this.commands.execute(asked);
    return { chatId: chat.id, readToken };
  }

  async nameOf(member: Learner): Promise<string | undefined> {
    const { value: user } = await this.queries.execute(new GetUser(member, member.userId, 'user'));
    return user.profile?.firstName;
  }

  async questionsIn(member: Learner, chatId: string, readToken?: string): Promise<string[]> {
    const { value: chat } = await this.queries.execute(new GetChat(member, { chatId, after: 0, limit: 200 }, readToken));
    return chat.messages.map((message) => message.content);
  }
}

@Module({})
export class ReadingClubModule {
  static on(settings: Settings, target: DatabaseTarget) {
    return {
      module: ReadingClubModule,
      imports: [PlatformModule.forRoot(settings, target), IdentityModule, AiInteractionsModule],
      providers: [ReadingClub],
    };
  }
}
