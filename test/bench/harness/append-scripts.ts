import { conversation } from './conversation';
import { actingFor, recorded } from './scripts';

export interface ChatKey {
  userId: string;
  chatId: string;
}

const TEXT = conversation(1)[0]!.content.replaceAll("'", "''");

const lock = ({ userId, chatId }: ChatKey) => `select "c0"."user_id", "c0"."id", "c0"."title", "c0"."message_count",
  "c0"."context_model", "c0"."archived_at", "c0"."pinned_at", "c0"."embedded_count", "c0"."created_at", "c0"."updated_at", "c0"."version"
from "chats" as "c0" where "c0"."user_id" = '${userId}' and "c0"."id" = '${chatId}' limit 1 for update`;

const COLUMNS = '("user_id", "id", "chat_id", "seq", "parent_seq", "role", "content", "metadata")';

const record = ({ userId, chatId }: ChatKey, seq: string) =>
  recorded(userId, 'chat.message-appended', chatId, 'messages', `'seq', ${seq}`);

/**
 * What the API sends for POST /v1/chats/{id}/messages, in as many round trips (recorded with log_statement = all).
 */
export function appendScript(chat: ChatKey): string {
  const { userId, chatId } = chat;
  return `begin;
\\startpipeline
${actingFor(userId)}
\\endpipeline
${lock(chat)} \\gset
\\set seq :message_count + 1
insert into "chat_messages" ${COLUMNS}
values ('${userId}', gen_random_uuid(), '${chatId}', :seq, :message_count, 'user', '${TEXT}', '{}') returning "created_at";
update "chats" set "message_count" = :seq, "version" = "version" + 1
where "user_id" = '${userId}' and "id" = '${chatId}' and "version" = :version returning "version";
${record(chat, ':seq::int')};
commit;
`;
}

/** The same work, sent at once: what would be left if nobody waited for an answer before the last. */
export function appendInOneTrip(chat: ChatKey): string {
  const { userId, chatId } = chat;
  const own = `"user_id" = '${userId}' and "id" = '${chatId}'`;
  const count = `(select message_count from chats where ${own})`;
  return `\\startpipeline
begin;
${actingFor(userId)}
${lock(chat)};
insert into "chat_messages" ${COLUMNS}
select '${userId}', gen_random_uuid(), '${chatId}', message_count + 1, message_count, 'user', '${TEXT}', '{}'
from chats where ${own} returning "created_at";
update "chats" set "message_count" = "message_count" + 1, "version" = "version" + 1 where ${own} returning "version";
${record(chat, count)};
commit;
\\endpipeline
`;
}
