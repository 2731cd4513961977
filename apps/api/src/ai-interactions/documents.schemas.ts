import {
  DOCUMENT_STATUSES,
  DocumentFields,
  NewDocumentInput,
  SEARCH_MODES,
  SEARCH_SCOPES,
  VectorInput,
} from '@studently/ai-interactions';
import { z } from 'zod';
import { Id, JsonObject, PageQuery, text, Time } from '../http/schemas';

export const DocumentBody = NewDocumentInput.meta({
  example: { type: 'markdown', title: 'Leaves', content: '# Leaves\n\nThey take the red out of the light.' },
});
export const DocumentPatch = DocumentFields.partial()
  .extend({ embedding: VectorInput.optional() })
  .meta({ example: { title: 'Leaves and light' } });
export const DocumentsQuery = PageQuery.extend({ type: text(1, 32).optional() });

/** Longer questions than the model reads are a passage by themselves. */
export const MAX_QUESTION = 2000;

/** Other keys are left in: they are refused by name. */
export const FilterBody = z.looseObject({
  type: z.union([text(1, 32), z.strictObject({ $in: z.array(text(1, 32)).max(100) })]).optional(),
  metadata: JsonObject.optional(),
});

export const SearchBody = z
  .object({
    text: z.string().trim().min(1).max(MAX_QUESTION).optional(),
    vector: VectorInput.optional(),
    k: z.int().min(1).max(100).default(10),
    filter: FilterBody.optional(),
    mode: z.enum(SEARCH_MODES).default('hybrid'),
    scope: z.enum(SEARCH_SCOPES).default('own'),
    cursor: z.string().max(12_000).optional(),
  })
  .refine((search) => search.text !== undefined || (search.vector !== undefined && search.mode !== 'text'), {
    path: ['text'],
    message: 'say a text or a vector; words can be looked for in a text alone',
  })
  .meta({ example: { text: 'what do leaves do with light', k: 5, filter: { type: 'markdown' } } });

export const DocumentSummaryAnswer = z.object({
  id: Id,
  type: z.string(),
  title: z.string().nullable(),
  metadata: JsonObject,
  status: z.enum(DOCUMENT_STATUSES),
  failure: z.string().nullable(),
  passages: z.int(),
  publishedAt: Time.nullable(),
  createdAt: Time,
  updatedAt: Time,
  version: z.int(),
});

export const DocumentAnswer = DocumentSummaryAnswer.extend({ content: z.string() });

export const SearchMeta = z.object({ strategy: z.string(), estimatedMatches: z.int(), tookMs: z.number() });

export const SharedDocumentAnswer = z.object({
  id: Id,
  type: z.string(),
  title: z.string().nullable(),
  metadata: JsonObject,
  publishedBy: Id,
  publishedAt: Time,
});

export const FoundDocument = z.object({ id: Id, type: z.string(), title: z.string().nullable(), metadata: JsonObject });
export const FoundText = z.object({
  id: Id,
  ordinal: z.int(),
  text: z.string(),
  startsAt: z.int(),
  endsAt: z.int(),
  headings: z.array(z.string()),
});

export const SearchAnswer = z.object({
  items: z.array(
    z.object({
      document: FoundDocument.extend({ publishedBy: Id.optional() }),
      passage: FoundText.extend({
        highlights: z.array(z.object({ startsAt: z.int(), endsAt: z.int() })).optional(),
      }),
      score: z.number(),
    }),
  ),
  nextCursor: z.string().nullable(),
  meta: SearchMeta.extend({ why: z.string() }),
});
