import { asView, forgottenBy, sealedJson, type ReadModel } from '@studently/platform';
import {
  DocumentAdded,
  DocumentChanged,
  DocumentDeleted,
  DocumentEmbedded,
  DocumentEmbeddingFailed,
  DocumentPublished,
  DocumentUnpublished,
} from '../ai-interactions.events';
import type { DocumentStatus } from '../domain/document.entity';
import type { EmbeddingFailure } from '../domain/document.errors';

export interface DocumentView {
  id: string;
  type: string;
  title: string | null;
  content: string;
  metadata: Record<string, unknown>;
  /** pending: not found yet; ready: embedded; failed: found by words alone. */
  status: DocumentStatus;
  failure: EmbeddingFailure | null;
  /** How many there are. */
  passages: number;
  /** When others could last find it as it was then; null: they cannot. */
  publishedAt: string | null;
  createdAt: string;
  updatedAt: string;
  version: number;
}

/** What a list shows of a document `d`, and what a view begins with. */
export const DOCUMENT_SUMMARY = `
  d.id, d.type, d.title, d.metadata, d.status, d.failure,
  (select count(*)::int from document_passages p where p.user_id = d.user_id and p.document_id = d.id) as passages,
  iso8601(d.published_at) as "publishedAt", iso8601(d.created_at) as "createdAt", iso8601(d.updated_at) as "updatedAt", d.version`;

/** A document with its content. $2 is its id. */
export const documentModel: ReadModel<string, DocumentView> = {
  sql: asView(`select 
    ${DOCUMENT_SUMMARY}, ${sealedJson('documents.content', 'd')} as content
    from documents d where d.user_id = $1 and d.id = $2`),
  values: (userId, documentId) => [userId, documentId],
  key: (documentId) => `document:${documentId}`,
  tag: (documentId) => `document:${documentId}`,
  forgottenBy: [
    DocumentAdded,
    DocumentChanged,
    DocumentDeleted,
    DocumentEmbedded,
    DocumentEmbeddingFailed,
    DocumentPublished,
    DocumentUnpublished,
  ].map((type) => forgottenBy(type, (event) => [`document:${event.subjectId}`])),
};
