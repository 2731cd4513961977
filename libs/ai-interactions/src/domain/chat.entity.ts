import { defineEntity, p } from '@mikro-orm/core';
import type { LearnerCipher } from '@studently/platform';
import { VectorType } from 'pgvector/mikro-orm';
import { EMBEDDING_DIMENSIONS } from './vector';

export const MESSAGE_ROLES = ['system', 'user', 'assistant', 'tool'] as const;
export type MessageRole = (typeof MESSAGE_ROLES)[number];

const ChatSchema = defineEntity({
  name: 'Chat',
  tableName: 'chats',
  properties: {
    userId: p.uuid().primary(),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    title: p.text(),
    messageCount: p.integer().default(0).comment('Also the seq of the last message: the sequence is dense.'),
    contextVector: p
      .type(VectorType)
      .length(EMBEDDING_DIMENSIONS)
      .nullable()
      .lazy()
      .comment('The normalised mean of its turns, or what the client has sent.'),
    contextModel: p.text().nullable(),
    archivedAt: p.datetime(3).nullable(),
    pinnedAt: p.datetime(3).nullable(),
    /** Counted up by the job alone, past the ORM. */
    embeddedCount: p
      .integer()
      .default(0)
      .comment(
        'So many of its messages, from the first, have a turn by which they are found; a job makes those of the others.',
      ),
    createdAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).defaultRaw('now()'),
    version: p.integer().version().default(1),
  },
  checks: [
    { name: 'chats_title_check', expression: 'length(title) >= 1 and length(title) <= 200' },
    { name: 'chats_message_count_check', expression: 'message_count >= 0' },
    { name: 'chats_no_more_embedded', expression: 'embedded_count >= 0 and embedded_count <= message_count' },
    { name: 'chats_context_has_model', expression: '(context_vector is null) = (context_model is null)' },
  ],
  indexes: [{ name: 'chats_newest', expression: 'create index chats_newest on chats (user_id, created_at desc, id desc)' }],
});

export interface NewMessage {
  id: string;
  role: MessageRole;
  content: string;
  metadata?: Record<string, unknown>;
}

/** What a learner may change of a chat. */
export interface ChatChanges {
  title?: string;
  archived?: boolean;
  pinned?: boolean;
}

/** A job that embeds a chat's messages takes along what comes meanwhile. Now and then another one is left, in case that it was dropped. */
const ANOTHER_JOB_AFTER = 50;

/** A learner's conversation with the AI. Its messages are numbered from 1 without a gap, and each may begin another branch. */
export class Chat extends ChatSchema.class {
  static start(userId: string, id: string, title: string): Chat {
    return Object.assign(new Chat(), { userId, id, title, messageCount: 0, embeddedCount: 0 });
  }

  /** Applies what is given. What is archived or pinned already stays so since then. */
  change({ title, archived, pinned }: ChatChanges, now: Date): void {
    if (title !== undefined) this.title = title;
    if (archived !== undefined) this.archivedAt = archived ? (this.archivedAt ?? now) : null;
    if (pinned !== undefined) this.pinnedAt = pinned ? (this.pinnedAt ?? now) : null;
  }

  /** @param model what has made the vector */
  isAbout(vector: number[], model: string): void {
    this.contextVector = vector;
    this.contextModel = model;
  }

  /**
   * Adds a message at the end. The chat has to be locked: the next number is its own count.
   * @param parentSeq the message that this one answers, by default the one before it; null: it begins the chat anew
   */
  append(
    { content, ...message }: NewMessage,
    cipher: LearnerCipher,
    parentSeq: number | null = this.messageCount || null,
  ): ChatMessage {
    this.messageCount += 1;
    return Object.assign(new ChatMessage(), {
      ...message,
      contentSealed: cipher.seal('chat_messages.content', message.id, content),
      metadata: message.metadata ?? {},
      chat: this,
      userId: this.userId,
      seq: this.messageCount,
      parentSeq,
    });
  }

  /** Whether a message that is appended now has to leave a job: none, or none that is still there, will take it along. */
  get leavesJob(): boolean {
    return (this.messageCount - this.embeddedCount) % ANOTHER_JOB_AFTER === 0;
  }
}
ChatSchema.setClass(Chat);

const ChatMessageSchema = defineEntity({
  name: 'ChatMessage',
  tableName: 'chat_messages',
  properties: {
    userId: p.uuid().primary(),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    chat: () =>
      p
        .manyToOne(Chat)
        .joinColumns('user_id', 'chat_id')
        .ownColumns('chat_id')
        .deleteRule('cascade')
        .updateRule('no action')
        .foreignKeyName('chat_messages_chat'),
    seq: p.integer(),
    parentSeq: p.integer().nullable(),
    role: p.enum(MESSAGE_ROLES).columnType('text'),
    /** Of rows that are not sealed yet. */
    content: p.text().nullable(),
    contentSealed: p.blob().nullable().$type<Buffer>(),
    metadata: p.json<Record<string, unknown>>().default('{}'),
    createdAt: p.datetime(3).defaultRaw('now()'),
  },
  checks: [
    { name: 'chat_messages_seq_check', expression: 'seq >= 1' },
    { name: 'chat_messages_metadata_check', expression: `jsonb_typeof(metadata) = 'object'` },
    { name: 'chat_messages_content_once', expression: 'num_nonnulls(content, content_sealed) = 1' },
    { name: 'chat_messages_parent', expression: 'parent_seq >= 1 and parent_seq < seq' },
  ],
  uniques: [
    {
      name: 'chat_messages_dense',
      expression: 'alter table chat_messages add constraint chat_messages_dense unique (user_id, chat_id, seq)',
    },
  ],
});

/** One turn of a chat. It never changes, and leaves only with its chat. */
export class ChatMessage extends ChatMessageSchema.class {
  /** @throws SealedDataUnreadable */
  text(cipher: LearnerCipher): string {
    return this.contentSealed ? cipher.open('chat_messages.content', this.id, this.contentSealed) : this.content!;
  }
}
ChatMessageSchema.setClass(ChatMessage);
