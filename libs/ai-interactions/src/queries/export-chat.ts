import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, LearnerKeys, NotFound, openSealedJson, View, type Learner, type ReadModel } from '@studently/platform';
import { ChatTooLong, LeafUnknown } from '../domain/chat.errors';
import { markdownOf } from './chat-markdown';
import { branchModel, chatModel, type ChatView } from './chat.read-model';

export const EXPORT_FORMATS = ['json', 'markdown'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/**
 * One of the learner's own chats with all of its messages, or those of one branch: as JSON, or as text in Markdown.
 * @throws LeafUnknown, ChatTooLong
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

/** Messages that are read at once. */
const PAGE = 1000;

/** In characters of JSON: it is in memory some times over. */
const LONGEST = 16 * 1024 * 1024;

type ViewRow = { json: string; etag: string };

@QueryHandler(ExportChat)
export class ExportChatHandler implements IQueryHandler<ExportChat> {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
  ) {}

  async execute({ actor, chatId, format, leaf }: ExportChat): Promise<View<ChatView>> {
    const pageAfter = (after: number) => {
      const page = { chatId, after, limit: PAGE };
      return leaf === undefined ? this.row(actor, chatModel, page) : this.row(actor, branchModel, { ...page, leaf });
    };
    const first = await pageAfter(0);
    if (!first) {
      const isThere = leaf !== undefined && (await this.row(actor, chatModel, { chatId, after: 0, limit: 1 }));
      throw isThere ? new LeafUnknown() : new NotFound('chat');
    }
    const { nextAfter, ...chat } = await this.read(first);
    let length = first.json.length;
    for (let next = nextAfter; next !== null;) {
      const row = await pageAfter(next);
      if (!row) throw new NotFound('chat'); // it was deleted just now
      if ((length += row.json.length) > LONGEST) throw new ChatTooLong();
      const page = await this.read(row);
      chat.messages.push(...page.messages.filter(({ seq }) => seq <= chat.messageCount)); // as many as the first page said
      next = page.nextAfter;
    }
    const whole: ChatView = { ...chat, nextAfter: null };
    return format === 'json' ? new View(JSON.stringify(whole), first.etag) : new View(markdownOf(whole), first.etag);
  }

  private async read({ json }: ViewRow): Promise<ChatView> {
    return JSON.parse(await openSealedJson(this.keys, json)) as ChatView;
  }

  /** Past the cache: it is long, and seldom asked for. */
  private async row<Page>(actor: Learner, model: ReadModel<Page, ChatView>, page: Page): Promise<ViewRow | undefined> {
    return (await this.database.query<ViewRow>(actor, model.sql, model.values(actor.userId, page)))[0];
  }
}
