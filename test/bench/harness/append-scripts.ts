import { conversation } from './conversation';

export interface ChatKey {
  userId: string;
  chatId: string;
}

const TEXT = conversation(1)[0]!.content.replaceAll("'", "''");

const context = (userId: string) => `set local role studently_app;
set local app.user_id = '${userId}';
set local app.role = 'STUDENT';`;

const lock = ({ userId, chatId }: ChatKey) => `select "c0"."user_id", "c0"."id", "c0"."title", "c0"."message_count",
  "c0"."context_model", "c0"."created_at", "c0"."updated_at", "c0"."version"
from "chats" as "c0" where "c0"."user_id" = '${userId}' and "c0"."id" = '${chatId}' limit 1 for update`;

const COLUMNS = '("user_id", "id", "chat_id", "seq", "parent_seq", "role", "content", "metadata")';

const record = ({ userId, chatId }: ChatKey, seq: string) => `with audited as (
  insert into audit_events (actor_id, actor_role, learner_id, action, subject_id, changed_fields, request_id)
  values ('${userId}', 'STUDENT', '${userId}', 'chat.message-appended', '${chatId}', '{messages}', gen_random_uuid()::text)
), queued as (
  insert into outbox (topic, learner_id, payload) values ('chat.message-appended', '${userId}',
    json_build_object('learnerId', '${userId}', 'subjectId', '${chatId}', 'changedFields', array['messages'], 'seq', ${seq})::jsonb)
)
select pg_current_xact_id()::text as xid`;

/**
 * What the API sends for POST /v1/chats/{id}/messages, in as many round trips (recorded with log_statement = all).
 * The three settings are one message of the API's; a pipeline is pgbench's way to send them without waiting.
 */
export function appendScript(chat: ChatKey): string {
  const { userId, chatId } = chat;
  return `begin;
\\startpipeline
${context(userId)}
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
${context(userId)}
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
