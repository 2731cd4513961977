import { BUCKETS } from '@studently/study';
import { z } from 'zod';
import { Id, JsonObject, pageOf, PageQuery, Time, TimeInput } from '../http/schemas';

const Category = z.string().trim().min(1).max(64);
const Score = z.number().min(0).max(100);

export const ProgressBody = z
  .object({
    id: Id.optional(),
    category: Category,
    score: Score,
    timestamp: TimeInput.transform((time) => new Date(time))
      .optional()
      .describe('Now by default; within 5 minutes of the clock of the server'),
    metadata: JsonObject.optional(),
  })
  .meta({ example: { category: 'spanish', score: 72.5 } });

export const ProgressPatch = z
  .object({ category: Category.optional(), score: Score.optional(), metadata: JsonObject.optional() })
  .refine((changes) => Object.keys(changes).length > 0, 'Nothing is to be changed.')
  .meta({ example: { score: 80 } });

const Moment = z.union([TimeInput, z.iso.date()], 'a time with its zone, or a day (YYYY-MM-DD)');

export const ProgressQuery = PageQuery.extend({
  category: Category.optional(),
  from: Moment.optional().describe('A time, or the midnight with which a day begins in the time zone of the learner'),
  to: Moment.optional().describe('As from; not included'),
  bucket: z.enum(BUCKETS).optional().describe('Asks for a series'),
});

export const ProgressAnswer = z.object({
  id: Id,
  category: z.string(),
  score: Score,
  timestamp: Time,
  metadata: JsonObject,
  createdAt: Time,
  updatedAt: Time,
  version: z.int(),
});

const Series = z.object({
  bucket: z.enum(BUCKETS),
  timeZone: z.string(),
  series: z.array(z.object({ start: Time, end: Time, count: z.int(), mean: Score, min: Score, max: Score })),
});

export const ProgressListAnswer = z.union([pageOf(ProgressAnswer), Series]);
