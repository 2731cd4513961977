import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, LearnerKeys, NotFound, openSealedJson, View, type Learner, type ReadModel } from '@studently/platform';
import { LeafUnknown } from '../domain/chat.errors';
import { markdownOf } from './chat-markdown';
import { branchModel, chatModel, type ChatView } from './chat.read-model';

export const EXPORT_FORMATS = ['json', 'markdown'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/**
 * One of the learner's own chats with all of its messages, or those of one branch: as JSON, or as text in Markdown.
 * @throws LeafUnknown
 */
export class ExportChat extends Query<View<ChatView>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
    readonly format: ExportFormat = 'json',
    /** The last message of the branch. */
    readonly leaf?: string,
  ) {
    super();
  }
}

const ALL = 2 ** 30;

type ViewRow = { json: string; etag: string };

@QueryHandler(ExportChat)
export class ExportChatHandler implements IQueryHandler<ExportChat> {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
  ) {}

  async execute({ actor, chatId, format, leaf }: ExportChat): Promise<View<ChatView>> {
    const all = { chatId, after: 0, limit: ALL };
    const row =
      leaf === undefined ? await this.row(actor, chatModel, all) : await this.row(actor, branchModel, { ...all, leaf });
    if (!row) {
      const isThere = leaf !== undefined && (await this.row(actor, chatModel, { ...all, limit: 0 }));
      throw isThere ? new LeafUnknown() : new NotFound('chat');
    }
    const view = new View<ChatView>(await openSealedJson(this.keys, row.json), row.etag);
    return format === 'json' ? view : new View(markdownOf(view.value), row.etag);
  }

  /** Past the cache: it is long, and seldom asked for. */
  private async row<Page>(actor: Learner, model: ReadModel<Page, ChatView>, page: Page): Promise<ViewRow | undefined> {
    return (await this.database.query<ViewRow>(actor, model.sql, model.values(actor.userId, page)))[0];
  }
}
