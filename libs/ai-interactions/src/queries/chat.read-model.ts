import { asView, forgottenBy, sealedJson, type ReadModel } from '@studently/platform';
import { ChatContextChanged, ChatDeleted, ChatRenamed, ChatStarted, MessageAppended } from '../ai-interactions.events';
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
  /** In order, from the one after `after`. */
  messages: MessageView[];
  /** Send it as `after` for the next page; null when these were the last. */
  nextAfter: number | null;
  createdAt: string;
  updatedAt: string;
  version: number;
}

/** Which messages of a chat: at most `limit` of those with `seq > after`. */
export interface ChatPage {
  chatId: string;
  after: number;
  limit: number;
}

/** A chat with a page of its messages. */
export const chatModel: ReadModel<ChatPage, ChatView> = {
  sql: asView(`
      select c.id, c.title, c.message_count as "messageCount", page.messages,
        case when $3 + $4 < c.message_count then $3 + $4 end as "nextAfter",
        iso8601(c.created_at) as "createdAt", iso8601(c.updated_at) as "updatedAt", c.version
      from chats c cross join lateral (
        select coalesce(json_agg(message), '[]') as messages from (
          select m.seq, m.id, parent.id as "parentId", m.role, ${sealedJson('chat_messages.content', 'm')} as content, m.metadata, iso8601(m.created_at) as "createdAt"
          from chat_messages m
          left join chat_messages parent
            on parent.user_id = m.user_id and parent.chat_id = m.chat_id and parent.seq = m.parent_seq
          where m.user_id = $1 and m.chat_id = $2 and m.seq > $3 and m.seq <= $3 + $4
          order by m.seq
        ) message
      ) page
      where c.user_id = $1 and c.id = $2`),
  values: (userId, { chatId, after, limit }) => [userId, chatId, after, limit],
  key: ({ chatId, after, limit }) => `chat:${chatId}:${after}:${limit}`,
  isSealed: true,
  tag: ({ chatId }) => `chat:${chatId}`,
  forgottenBy: [ChatStarted, ChatRenamed, ChatContextChanged, ChatDeleted, MessageAppended].map((type) =>
    forgottenBy(type, (event) => [`chat:${event.subjectId}`]),
  ),
};
