import { randomUUID } from 'node:crypto';
import { ValidationFailed } from '@studently/platform';
import { z } from 'zod';
import { EMBEDDING_DIMENSIONS, readVector } from './vector';

const MAX_CONTENT_BYTES = 1024 * 1024;

/** Judged by readVector, which has a code of its own for what is wrong with it. */
export const VectorInput = z.unknown().meta({
  type: 'array',
  items: { type: 'number' },
  minItems: EMBEDDING_DIMENSIONS,
  maxItems: EMBEDDING_DIMENSIONS,
});

/** The name of a row of `document_types`. */
export const DocumentType = z.string().min(1).max(32);

export const DocumentFields = z.object({
  type: DocumentType,
  title: z.string().trim().min(1).max(300).nullable(),
  content: z
    .string()
    .min(1)
    .refine((content) => Buffer.byteLength(content) <= MAX_CONTENT_BYTES, `at most ${MAX_CONTENT_BYTES} bytes of UTF-8`),
  metadata: z.record(z.string(), z.unknown()),
});

/** A document as clients and files bring it. */
export const NewDocumentInput = DocumentFields.partial({ title: true, metadata: true }).extend({
  id: z.guid().toLowerCase().optional(),
  embedding: VectorInput.optional(),
});

export interface NewDocument {
  id: string;
  type: string;
  title: string | null;
  content: string;
  metadata: Record<string, unknown>;
  /** Made by the client: then the document is one passage. */
  embedding?: number[];
}

/** @throws VectorInvalid */
export function newDocument({ embedding, ...input }: z.infer<typeof NewDocumentInput>): NewDocument {
  return {
    ...input,
    id: input.id ?? randomUUID(),
    title: input.title ?? null,
    metadata: input.metadata ?? {},
    ...(embedding !== undefined && { embedding: readVector(embedding, 'embedding') }),
  };
}

/** @throws ValidationFailed naming each fault, VectorInvalid */
export function readNewDocument(json: unknown): NewDocument {
  const result = NewDocumentInput.safeParse(json);
  if (result.success) return newDocument(result.data);
  throw new ValidationFailed(result.error.issues.map(({ path, code, message }) => ({ path: path.join('.'), code, message })));
}
