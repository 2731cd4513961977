import { isDeepStrictEqual } from 'node:util';
import { ValidationFailed } from '@studently/platform';
import { z } from 'zod';

const DAY_MS = 24 * 60 * 60 * 1000;

/** The name of a row of `study_item_types`. */
export const TypeName = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'a type is named in lower-case letters, digits and dashes');

/** What the content has to look like is said by its type. */
export const Content = z.record(z.string(), z.custom<unknown>());

export const Tags = z
  .array(z.string().trim().min(1).max(100))
  .max(50)
  .transform((tags) => [...new Set(tags)]);

/** A moment of this age: PostgreSQL and the scheduler know years that no learner has seen. */
const ReviewedAt = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text))
  .refine((moment) => moment.getUTCFullYear() >= 2000, 'a review is not older than the year 2000');

/** How one review went. Ratings as in FSRS: 1 again, 2 hard, 3 good, 4 easy. */
export const NewReview = z.object({
  /** Chosen by the client: the same review sent twice is one. */
  clientReviewId: z.string().min(1).max(100),
  rating: z.int().min(1).max(4),
  reviewedAt: ReviewedAt.optional(),
  durationMs: z.int().min(0).max(DAY_MS).optional(),
});
export type NewReview = z.infer<typeof NewReview>;

export const NewStudyItem = z.object({
  id: z.guid().toLowerCase().optional(),
  type: TypeName,
  content: Content,
  tags: Tags.optional(),
});
export type NewStudyItem = z.infer<typeof NewStudyItem>;

/** Whether what is kept is what `given` asks for. Kept is JSON: it knows one zero where JavaScript has two. */
export function isSameItem({ type, content, tags }: Required<Omit<NewStudyItem, 'id'>>, given: NewStudyItem): boolean {
  const asKept = JSON.parse(JSON.stringify(given.content)) as typeof content;
  return type === given.type && isDeepStrictEqual(content, asKept) && isDeepStrictEqual(tags, given.tags ?? []);
}

/** An item that comes from elsewhere may bring its reviews along; its schedule is then what they make of it. */
export const ImportedStudyItem = NewStudyItem.extend({
  reviews: z
    .array(NewReview.extend({ reviewedAt: ReviewedAt }))
    .max(1000)
    .refine(
      (reviews) => new Set(reviews.map(({ clientReviewId }) => clientReviewId)).size === reviews.length,
      'each review has a clientReviewId of its own',
    )
    .optional(),
});
export type ImportedStudyItem = z.infer<typeof ImportedStudyItem>;

/** @throws ValidationFailed naming each fault */
export function readStudyItem(json: unknown): ImportedStudyItem {
  const result = ImportedStudyItem.safeParse(json);
  if (result.success) return result.data;
  throw new ValidationFailed(result.error.issues.map(({ path, code, message }) => ({ path: path.join('.'), code, message })));
}
