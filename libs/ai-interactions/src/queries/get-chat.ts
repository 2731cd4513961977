import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { NotFound, ReadModels, type Learner, type View } from '@studently/platform';
import { chatModel, type ChatPage, type ChatView } from './chat.read-model';

/** One of the learner's own chats with a page of its messages. */
export class GetChat extends Query<View<ChatView>> {
  constructor(
    readonly actor: Learner,
    readonly page: ChatPage,
    readonly readToken?: string,
  ) {
    super();
  }
}

@QueryHandler(GetChat)
export class GetChatHandler implements IQueryHandler<GetChat> {
  constructor(private readonly readModels: ReadModels) {}

  async execute({ actor, page, readToken }: GetChat): Promise<View<ChatView>> {
    const view = await this.readModels.get(chatModel, actor, page, { readToken });
    if (!view) throw new NotFound('chat');
    return view;
  }
}
