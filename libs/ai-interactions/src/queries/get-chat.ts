import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { NotFound, ReadModels, type Learner, type View } from '@studently/platform';
import { LeafUnknown } from '../domain/chat.errors';
import { branchModel, chatModel, type BranchPage, type ChatPage, type ChatView } from './chat.read-model';

/** One of the learner's own chats with a page of its messages: of all, or of the branch that ends with `leaf`. @throws LeafUnknown */
export class GetChat extends Query<View<ChatView>> {
  constructor(
    readonly actor: Learner,
    readonly page: ChatPage & Partial<BranchPage>,
    readonly readToken?: string,
  ) {
    super();
  }
}

@QueryHandler(GetChat)
export class GetChatHandler implements IQueryHandler<GetChat> {
  constructor(private readonly readModels: ReadModels) {}

  async execute({ actor, page, readToken }: GetChat): Promise<View<ChatView>> {
    const { leaf } = page;
    const branch =
      leaf === undefined ? undefined : await this.readModels.get(branchModel, actor, { ...page, leaf }, { readToken });
    if (branch) return branch;
    const whole = await this.readModels.get(chatModel, actor, page, { readToken });
    if (!whole) throw new NotFound('chat');
    if (leaf !== undefined) throw new LeafUnknown();
    return whole;
  }
}
