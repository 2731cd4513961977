import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, LearnerKeys, NotFound, openSealedJson, View, type Learner } from '@studently/platform';
import { chatModel, type ChatView } from './chat.read-model';

/** One of the learner's own chats with all of its messages. */
export class ExportChat extends Query<View<ChatView>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
  ) {
    super();
  }
}

const ALL = 2 ** 30;

@QueryHandler(ExportChat)
export class ExportChatHandler implements IQueryHandler<ExportChat> {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
  ) {}

  async execute({ actor, chatId }: ExportChat): Promise<View<ChatView>> {
    const values = chatModel.values(actor.userId, { chatId, after: 0, limit: ALL });
    const [row] = await this.database.read<{ json: string; etag: string }>(actor, chatModel.sql, values);
    if (!row) throw new NotFound('chat');
    return new View(await openSealedJson(this.keys, row.json), row.etag);
  }
}
