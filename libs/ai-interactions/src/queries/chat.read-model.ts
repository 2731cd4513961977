import { asView, forgottenBy, MOST_ON_A_PAGE, sealedJson, type ReadModel } from '@studently/platform';
import { ChatChanged, ChatContextChanged, ChatDeleted, ChatStarted, MessageAppended } from '../ai-interactions.events';
import type { MessageRole } from '../domain/chat.entity';

export interface MessageView {
  seq: number;
  id: string;
  parentId: string | null;
  role: MessageRole;
  content: string;
  metadata: Record<string, unknown>;
  createdAt: string;
}

export interface ChatView {
  id: string;
  title: string;
  messageCount: number;
  archivedAt: string | null;
  pinnedAt: string | null;
  createdAt: string;
  updatedAt: string;
  version: number;
  /** In order, from the one after `after`. */
  messages: MessageView[];
  /** Send it as `after` for the next page; null when these were the last. */
  nextAfter: number | null;
}

/** Which messages of a chat: at most `limit` of those with `seq > after`, of all branches; fewer where they are large. */
export interface ChatPage {
  chatId: string;
  after: number;
  limit: number;
}

/** The same of one branch: those from its first message to the one with the id `leaf`. */
export interface BranchPage extends ChatPage {
  leaf: string;
}

/** What a list shows of a chat `c`, and what a view begins with. */
export const CHAT_SUMMARY = `
  c.id, c.title, c.message_count as "messageCount",
  iso8601(c.archived_at) as "archivedAt", iso8601(c.pinned_at) as "pinnedAt",
  iso8601(c.created_at) as "createdAt", iso8601(c.updated_at) as "updatedAt", c.version`;

/** The messages of a page, as JSON, and the `last` of them: it ends where it is large enough. @param which of `m` */
const messagesOf = (which: string) => `
  select coalesce(json_agg(message), '[]') as messages, max(message.seq) as last from (
    select m.seq, m.id, parent.id as "parentId", m.role, ${sealedJson('chat_messages.content', 'm')} as content, m.metadata, iso8601(m.created_at) as "createdAt"
    from (
      select m.*, sum(coalesce(octet_length(m.content_sealed), octet_length(m.content)) + pg_column_size(m.metadata))
        over (order by m.seq rows between unbounded preceding and 1 preceding) as before
      from chat_messages m where m.user_id = $1 and m.chat_id = $2 and ${which}
    ) m
    left join chat_messages parent
      on parent.user_id = m.user_id and parent.chat_id = m.chat_id and parent.seq = m.parent_seq
    where coalesce(m.before, 0) < ${MOST_ON_A_PAGE}
    order by m.seq
  ) message`;

/** A chat with a page of its messages. */
export const chatModel: ReadModel<ChatPage, ChatView> = {
  sql: asView(`
      select ${CHAT_SUMMARY}, page.messages, case when page.last < c.message_count then page.last end as "nextAfter"
      from chats c cross join lateral (${messagesOf('m.seq > $3 and m.seq <= $3 + $4')}) page
      where c.user_id = $1 and c.id = $2`),
  values: (userId, { chatId, after, limit }) => [userId, chatId, after, limit],
  key: ({ chatId, after, limit }) => `chat:${chatId}:${after}:${limit}`,
  tag: ({ chatId }) => `chat:${chatId}`,
  forgottenBy: [ChatStarted, ChatChanged, ChatContextChanged, ChatDeleted, MessageAppended].map((type) =>
    forgottenBy(type, (event) => [`chat:${event.subjectId}`]),
  ),
};

/** Up from the leaf ($5) to the first message that the page needs. "limit 1": by the index, whatever the planner thinks of the table. */
const PATH = `
  with recursive path as (
    select seq, parent_seq from chat_messages where user_id = $1 and chat_id = $2 and id = $5
    union all
    select above.seq, above.parent_seq from path cross join lateral (
      select seq, parent_seq from chat_messages
      where user_id = $1 and chat_id = $2 and seq = path.parent_seq and path.seq > $3 limit 1
    ) above
  ), shown as (
    select seq from path where seq > $3 order by seq limit $4
  )`;

/** A chat with a page of one of its branches. There is none if there is no such leaf. */
export const branchModel: ReadModel<BranchPage, ChatView> = {
  sql: asView(`${PATH}
      select ${CHAT_SUMMARY}, page.messages,
        case when page.last < (select max(seq) from path) then page.last end as "nextAfter"
      from chats c cross join lateral (${messagesOf('m.seq = any (array(select seq from shown))')}) page
      where c.user_id = $1 and c.id = $2 and exists (select from path)`),
  values: (userId, { chatId, after, limit, leaf }) => [userId, chatId, after, limit, leaf],
  key: ({ chatId, after, limit, leaf }) => `chat:${chatId}:${after}:${limit}:${leaf}`,
  tag: ({ chatId }) => `chat:${chatId}`,
  forgottenBy: [], // chatModel has the same tag, and forgets for both
};
