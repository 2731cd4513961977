import { MESSAGE_ROLES, VectorInput } from '@studently/ai-interactions';
import { z } from 'zod';
import { Id, JsonObject, PageQuery, text, Time } from '../http/schemas';

const Title = z.string().trim().min(1).max(200);
const MAX_CONTENT = 256 * 1024;

const Message = z.object({
  role: z.enum(MESSAGE_ROLES),
  content: z.string().max(MAX_CONTENT),
  metadata: JsonObject.optional(),
});

export const MessageBody = Message.extend({ parentId: Id.optional() });
export const ChatBody = z.object({ id: Id.optional(), title: Title, messages: z.array(Message).max(200).optional() });
export const ChatPatch = z.object({ title: Title });
export const ContextVectorBody = z.object({ vector: VectorInput, model: text(1, 100) });
export const ChatsQuery = PageQuery.extend({ title: text(1, 200).optional() });
export const MessagesQuery = z.object({
  after: z.coerce.number().int().min(0).max(2_000_000_000).default(0),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

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
  createdAt: Time,
  updatedAt: Time,
  version: z.int(),
});

export const ChatAnswer = ChatSummaryAnswer.extend({ messages: z.array(MessageAnswer), nextAfter: z.int().nullable() });
