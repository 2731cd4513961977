import { EXPORT_FORMATS, MESSAGE_ROLES, VectorInput } from '@studently/ai-interactions';
import { z } from 'zod';
import { FilterBody, FoundDocument, FoundText, MAX_QUESTION, SearchMeta } from './documents.schemas';
import { Id, JsonObject, PageQuery, text, Time } from '../http/schemas';

const Title = z.string().trim().min(1).max(200);
const MAX_CONTENT = 256 * 1024;

const Message = z.object({
  role: z.enum(MESSAGE_ROLES),
  content: z.string().max(MAX_CONTENT),
  metadata: JsonObject.optional(),
});

export const MessageBody = Message.extend({ parentId: Id.nullable().optional() }).meta({
  example: { role: 'user', content: 'Why are leaves green?' },
});
export const ChatBody = z
  .object({ id: Id.optional(), title: Title, messages: z.array(Message).max(200).optional() })
  .meta({ example: { title: 'Photosynthesis' } });
export const ChatPatch = z
  .object({ title: Title, archived: z.boolean(), pinned: z.boolean() })
  .partial()
  .meta({ example: { pinned: true } });
export const ContextVectorBody = z.object({ vector: VectorInput, model: text(1, 100) });

/** Of a filter: undefined where it leaves nothing out. */
const which = (flag: boolean | 'true' | 'false' | 'any') => (flag === 'any' ? undefined : String(flag) === 'true');
const Which = z.enum(['true', 'false', 'any']);

export const ChatsQuery = PageQuery.extend({
  title: text(1, 200).optional(),
  archived: Which.default('false').transform(which),
  pinned: Which.default('any').transform(which),
});
export const MessagesQuery = z.object({
  after: z.coerce.number().int().min(0).max(2_000_000_000).default(0),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  leaf: Id.optional(),
});
export const ExportQuery = z.object({ format: z.enum(EXPORT_FORMATS).default('json'), leaf: Id.optional() });
export const MARKDOWN = 'text/markdown';

export const ChatSearchBody = z
  .object({
    text: z.string().trim().min(1).max(MAX_QUESTION).optional(),
    vector: VectorInput.optional(),
    k: z.int().min(1).max(100).default(10),
    archived: z
      .union([z.boolean(), z.literal('any')])
      .default(false)
      .transform(which),
  })
  .refine((search) => search.text !== undefined || search.vector !== undefined, {
    path: ['text'],
    message: 'say a text or a vector',
  })
  .meta({ example: { text: 'red light', k: 3 } });

export const AppendedAnswer = z.object({ id: Id, seq: z.int() });

const MessageAnswer = z.object({
  seq: z.int(),
  id: Id,
  parentId: Id.nullable(),
  role: z.enum(MESSAGE_ROLES),
  content: z.string(),
  metadata: JsonObject,
  createdAt: Time,
});

export const ChatSummaryAnswer = z.object({
  id: Id,
  title: z.string(),
  messageCount: z.int(),
  archivedAt: Time.nullable(),
  pinnedAt: Time.nullable(),
  createdAt: Time,
  updatedAt: Time,
  version: z.int(),
});

export const ChatAnswer = ChatSummaryAnswer.extend({ messages: z.array(MessageAnswer), nextAfter: z.int().nullable() });

export const LeavesAnswer = z.object({
  items: z.array(z.object({ id: Id, seq: z.int(), messages: z.int(), createdAt: Time })),
});

export const ChatSearchAnswer = z.object({
  items: z.array(
    z.object({
      chat: ChatSummaryAnswer,
      message: z.object({ id: Id, seq: z.int(), role: z.enum(MESSAGE_ROLES), text: z.string(), createdAt: Time }).nullable(),
      score: z.number(),
    }),
  ),
  meta: SearchMeta,
});

export const ContextBody = z
  .object({
    text: z.string().trim().min(1).max(MAX_QUESTION),
    tokenBudget: z.int().min(1).max(200_000),
    leaf: Id.optional(),
    filter: FilterBody.optional(),
  })
  .meta({ example: { text: 'Why are leaves green?', tokenBudget: 2000 } });

const Sent = {
  score: z.number(),
  tokens: z.int(),
  isCut: z.boolean(),
  rendered: z.object({ role: z.enum(MESSAGE_ROLES), content: z.string() }),
};

export const ContextAnswer = z.object({
  items: z.array(
    z.discriminatedUnion('kind', [
      z.object({
        kind: z.literal('turn'),
        message: z.object({ id: Id, seq: z.int(), role: z.enum(MESSAGE_ROLES), text: z.string() }),
        isRecent: z.boolean(),
        ...Sent,
      }),
      z.object({ kind: z.literal('passage'), document: FoundDocument, passage: FoundText, ...Sent }),
    ]),
  ),
  tokens: z.int(),
  tokenBudget: z.int(),
  meta: z.object({ tokenizer: z.string(), strategy: z.string(), why: z.string(), tookMs: z.number() }),
});
