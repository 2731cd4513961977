import { isDeepStrictEqual } from 'node:util';
import { defineEntity, p } from '@mikro-orm/core';
import type { LearnerCipher } from '@studently/platform';
import { VectorType } from 'pgvector/mikro-orm';
import { DocumentNotReady, type EmbeddingFailure } from './document.errors';
import type { NewDocument } from './new-document';
import { CLIENT_MODEL, EMBEDDING_DIMENSIONS, sameVector } from './vector';

export const DOCUMENT_STATUSES = ['pending', 'ready', 'failed'] as const;
export type DocumentStatus = (typeof DOCUMENT_STATUSES)[number];

const DocumentSchema = defineEntity({
  name: 'Document',
  tableName: 'documents',
  properties: {
    userId: p.uuid().primary(),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    type: p.text(),
    title: p.text().nullable(),
    /** Of rows that are not sealed yet. */
    content: p.text().nullable().lazy(),
    contentSealed: p.blob().nullable().lazy().$type<Buffer>(),
    metadata: p.json<Record<string, unknown>>().default('{}'),
    embedding: p
      .type(VectorType)
      .length(EMBEDDING_DIMENSIONS)
      .nullable()
      .lazy()
      .comment('The normalised mean of its passages, or what the client supplied (model "client").'),
    embeddingModel: p.text().nullable(),
    status: p.enum(DOCUMENT_STATUSES).columnType('text').default('pending'),
    failure: p.text().nullable().comment('A code that says why there is no embedding.'),
    publishedAt: p.datetime(3).nullable().comment('When it was published last, as it was then; null: it is not.'),
    createdAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).defaultRaw('now()'),
    version: p.integer().version().default(1),
  },
  checks: [
    { name: 'documents_title_check', expression: 'length(title) >= 1 and length(title) <= 300' },
    { name: 'documents_content_check', expression: 'octet_length(content) >= 1 and octet_length(content) <= 1048576' },
    { name: 'documents_content_once', expression: 'num_nonnulls(content, content_sealed) = 1' },
    { name: 'documents_metadata_check', expression: `jsonb_typeof(metadata) = 'object'` },
    { name: 'documents_embedded', expression: `(status = 'ready') = (embedding is not null)` },
    { name: 'documents_embedding_has_model', expression: '(embedding is null) = (embedding_model is null)' },
    { name: 'documents_failed', expression: `(status = 'failed') = (failure is not null)` },
  ],
  indexes: [
    { name: 'documents_newest', expression: 'create index documents_newest on documents (user_id, created_at desc, id desc)' },
  ],
});

/** What may be changed of a document. */
export type DocumentChanges = Partial<Omit<NewDocument, 'id'>>;

/** Something that a learner reads or writes. It is found as soon as it has passages. */
export class Document extends DocumentSchema.class {
  static of(userId: string, { id, embedding, content, ...fields }: NewDocument, cipher: LearnerCipher): Document {
    const contentSealed = cipher.seal('documents.content', id, content);
    const document = Object.assign(new Document(), { userId, id, contentSealed, ...fields });
    if (embedding) document.embedded(embedding, CLIENT_MODEL);
    else document.toBeEmbedded();
    return document;
  }

  /** Its content, which has to be loaded. @throws SealedDataUnreadable */
  text(cipher: LearnerCipher): string {
    return this.contentSealed ? cipher.open('documents.content', this.id, this.contentSealed) : this.content!;
  }

  /** Whether creating `wanted` would have made this document. Content and embedding have to be loaded. */
  holds({ type, title, content, metadata, embedding }: NewDocument, cipher: LearnerCipher): boolean {
    const supplied = this.embeddingModel === CLIENT_MODEL ? this.embedding : undefined;
    return (
      this.type === type &&
      this.title === title &&
      this.text(cipher) === content &&
      isDeepStrictEqual(this.metadata, metadata) &&
      sameVector(supplied, embedding)
    );
  }

  /**
   * Applies what is given. Content and embedding have to be loaded where one of them is given.
   * @returns whether its passages have to be made anew; content that had failed is tried again
   */
  change({ embedding, content, ...fields }: DocumentChanges, cipher: LearnerCipher): boolean {
    Object.assign(this, fields);
    const anew = content !== undefined && (content !== this.text(cipher) || this.status === 'failed');
    if (anew) {
      this.contentSealed = cipher.seal('documents.content', this.id, content);
      this.content = null;
    }
    if (embedding) this.embedded(embedding, CLIENT_MODEL);
    else if (anew) this.toBeEmbedded();
    return anew || embedding !== undefined;
  }

  embedded(embedding: number[], model: string): void {
    this.status = 'ready';
    this.embedding = embedding;
    this.embeddingModel = model;
    this.failure = null;
  }

  failed(failure: EmbeddingFailure): void {
    this.status = 'failed';
    this.embedding = null;
    this.embeddingModel = null;
    this.failure = failure;
  }

  /** Others may find it as it is now. @throws DocumentNotReady */
  publish(now: Date): void {
    if (this.status !== 'ready') throw new DocumentNotReady();
    this.publishedAt = now;
  }

  unpublish(): void {
    this.publishedAt = null;
  }

  private toBeEmbedded(): void {
    this.status = 'pending';
    this.embedding = null;
    this.embeddingModel = null;
    this.failure = null;
  }
}
DocumentSchema.setClass(Document);
