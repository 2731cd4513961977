import { Content, NewReview, NewStudyItem, STATES, Tags, TypeName } from '@studently/study';
import { z } from 'zod';
import { Id, JsonObject, PageQuery, text, Time } from '../http/schemas';

export const ItemBody = NewStudyItem.meta({
  example: { type: 'flashcard', content: { front: 'bonjour', back: 'good morning' }, tags: ['french'] },
});
export const ItemPatch = z
  .object({ type: TypeName.optional(), content: Content.optional(), tags: Tags.optional() })
  .refine((changes) => Object.keys(changes).length > 0, 'Nothing is to be changed.')
  .meta({ example: { tags: ['french', 'greetings'] } });
export const ItemsQuery = PageQuery.extend({ type: TypeName.optional(), tag: text(1, 100).optional() });
export const DueQuery = z.object({ limit: PageQuery.shape.limit });
export const ReviewBody = NewReview.meta({ example: { clientReviewId: 'phone-1', rating: 3, durationMs: 4200 } });

export const StatsQuery = z.object({ from: z.iso.date().optional(), to: z.iso.date().optional() });
export const ForecastQuery = z.object({ days: z.coerce.number().int().min(1).max(366).default(30) });

const Scheduling = z.object({
  state: z.enum(STATES),
  stability: z.number().describe('Days until the probability of recall has fallen to 90 %'),
  difficulty: z.number().describe('1 to 10; 0 before the first review'),
  reps: z.int(),
  lapses: z.int(),
});

export const ItemAnswer = z.object({
  id: Id,
  type: z.string(),
  content: JsonObject,
  tags: z.array(z.string()),
  progress: z.number().min(0).max(1).describe('Maturity: min(1, stability / 21 days)'),
  lastReviewed: Time.nullable(),
  nextReview: Time,
  scheduling: Scheduling,
  createdAt: Time,
  version: z.int().describe('Counts changes of type, content and tags'),
});
export const DueAnswer = z.object({ items: z.array(ItemAnswer), dayEndsAt: Time });
export const ReviewedAnswer = z.object({ reviewId: Id, scheduling: Scheduling, nextReview: Time });
export const ReviewEntry = z.object({
  id: Id,
  clientReviewId: z.string(),
  rating: z.int(),
  reviewedAt: Time,
  durationMs: z.int().nullable(),
  undoneAt: Time.nullable(),
  createdAt: Time,
});

const Retention = z.object({ reviews: z.int(), passed: z.int(), rate: z.number().nullable() });
export const StatsAnswer = z.object({
  from: z.iso.date(),
  to: z.iso.date(),
  timeZone: z.string(),
  days: z.array(z.object({ date: z.iso.date(), reviews: z.int(), minutes: z.number() })),
  reviews: z.int(),
  minutes: z.number(),
  trueRetention: z.object({ all: Retention, young: Retention, mature: Retention }),
  maturity: z.object({ new: z.int(), learning: z.int(), young: z.int(), mature: z.int() }),
  streak: z.int(),
});
export const ForecastAnswer = z.object({
  days: z.array(z.object({ date: z.iso.date(), due: z.int(), new: z.int() })),
});
