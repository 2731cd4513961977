import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, ownerOf, pageOf, type Learner, type Page, type PageRequest, type View } from '@studently/platform';
import type { ChatView } from './chat.read-model';

export type ChatSummary = Omit<ChatView, 'messages' | 'nextAfter'>;

/** The learner's own chats, newest first; with `title` those whose title has something like it in it. */
export class ListChats extends Query<View<Page<ChatSummary>>> {
  constructor(
    readonly actor: Learner,
    readonly filter: { title?: string },
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** `<%` is pg_trgm's word similarity: it forgives misspelling. */
const SQL = `
  select row_to_json(item)::text as json, item."createdAt", item.id from (
    select c.id, c.title, c.message_count as "messageCount",
      iso8601(c.created_at) as "createdAt", iso8601(c.updated_at) as "updatedAt", c.version
    from chats c
    where c.user_id = $1
      and ($2::text is null or $2 <% c.title)
      and ($3::timestamptz is null or (c.created_at, c.id) < ($3, $4::uuid))
    order by c.created_at desc, c.id desc limit $5
  ) item`;

@QueryHandler(ListChats)
export class ListChatsHandler implements IQueryHandler<ListChats> {
  constructor(private readonly database: Database) {}

  async execute({ actor, filter, page }: ListChats): Promise<View<Page<ChatSummary>>> {
    return pageOf(page, (after, limit) =>
      this.database.read(actor, SQL, [
        ownerOf(actor),
        filter.title ?? null,
        after?.createdAt ?? null,
        after?.id ?? null,
        limit,
      ]),
    );
  }
}
