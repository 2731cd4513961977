import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, ownerOf, pageOf, type Learner, type Page, type PageRequest, type View } from '@studently/platform';
import { CHAT_SUMMARY, type ChatView } from './chat.read-model';

export type ChatSummary = Omit<ChatView, 'messages' | 'nextAfter'>;

/** Which chats: those whose title has something like `title` in it; archived and pinned ones or the others. undefined: all. */
export interface ChatFilter {
  title?: string;
  archived?: boolean;
  pinned?: boolean;
}

/** The learner's own chats, newest first. */
export class ListChats extends Query<View<Page<ChatSummary>>> {
  constructor(
    readonly actor: Learner,
    readonly filter: ChatFilter,
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** `<%` is pg_trgm's word similarity: it forgives misspelling. */
const SQL = `
  select row_to_json(item)::text as json, item."createdAt", item.id from (
    select ${CHAT_SUMMARY}
    from chats c
    where c.user_id = $1
      and ($2::text is null or $2 <% c.title)
      and ($3::timestamptz is null or (c.created_at, c.id) < ($3, $4::uuid))
      and ($6::boolean is null or $6 = (c.archived_at is not null))
      and ($7::boolean is null or $7 = (c.pinned_at is not null))
    order by c.created_at desc, c.id desc limit $5
  ) item`;

@QueryHandler(ListChats)
export class ListChatsHandler implements IQueryHandler<ListChats> {
  constructor(private readonly database: Database) {}

  async execute({ actor, filter, page }: ListChats): Promise<View<Page<ChatSummary>>> {
    return pageOf(page, (after, limit) =>
      this.database.query(actor, SQL, [
        ownerOf(actor),
        filter.title ?? null,
        after?.createdAt ?? null,
        after?.id ?? null,
        limit,
        filter.archived ?? null,
        filter.pinned ?? null,
      ]),
    );
  }
}
