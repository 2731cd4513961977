import { z } from 'zod';

/** What many routes share. Each schema validates the request and describes it in the OpenAPI document. */

/** A uuid of any version, in lower case. */
export const Id = z.guid().toLowerCase();

export const text = (min: number, max: number) => z.string().min(min).max(max);

/** Set by the server: a time as the API writes it. */
export const Time = z.iso.datetime();

/** Written by the client: a time in any zone. */
export const TimeInput = z.iso.datetime({ offset: true });

type Json = z.infer<ReturnType<typeof z.json>>;

/** Any JSON object: a body is made of nothing but JSON values by the time that it is validated (json-body.ts). */
export const JsonObject = z.record(z.string(), z.custom<Json>());

export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(200).optional(),
});

export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

export const BulkAnswer = z.object({
  accepted: z.int(),
  rejected: z.array(z.object({ line: z.int(), code: z.string(), detail: z.string() })).max(1000),
  rejectedCount: z.int(),
});

export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  traceId: z.string(),
  errors: z.array(z.object({ path: z.string(), code: z.string(), message: z.string() })).optional(),
});
