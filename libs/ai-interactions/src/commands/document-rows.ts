import { LockMode } from '@mikro-orm/core';
import { NotFound, type Learner, type Transaction } from '@studently/platform';
import { Document } from '../domain/document.entity';
import type { Passage } from '../domain/passages';
import { vectorText } from '../domain/vector';
import { sealPassages } from './sealed-passages';

/** A passage with what the model says about it; undefined where it says nothing. */
export type EmbeddedPassage = Passage & { embedding?: readonly number[] };

/** So many passages are one statement: 8 KB each as text. */
const CHUNK = 100;

const KEEP = `
  with given as (
    select * from unnest($4::uuid[], $5::bytea[], $6::text[], $7::int[], $8::text[])
      with ordinality given (id, content, lexemes, starts_at, embedding, nr)
  ), passages as (
    insert into document_passages (user_id, document_id, id, ordinal, content_sealed, lexemes_sealed, starts_at)
    select $1, $2, id, $3 + nr, content, lexemes::tsvector, starts_at from given
  )
  insert into passage_vectors (user_id, passage_id, document_id, space, embedding)
  select $1, id, $2, (select space from vector_spaces where model = $9), embedding::vector from given where embedding is not null`;

/** The learner's document, locked until the command has committed, perhaps with its content and embedding. */
export async function lockDocument(tx: Transaction, actor: Learner, documentId: string, whole: boolean): Promise<Document> {
  const document = await tx.em.findOne(
    Document,
    { userId: actor.userId, id: documentId },
    { lockMode: LockMode.PESSIMISTIC_WRITE, ...(whole && { populate: ['content', 'contentSealed', 'embedding'] }) },
  );
  if (!document) throw new NotFound('document');
  return document;
}

/** Keeps the passages of a document that has none. The document has to be in the database. */
export async function addPassages(
  tx: Transaction,
  { userId, id }: Document,
  passages: readonly EmbeddedPassage[],
  model: string,
): Promise<void> {
  for (let from = 0; from < passages.length; from += CHUNK) {
    const chunk = passages.slice(from, from + CHUNK);
    const sealed = await sealPassages(
      tx,
      userId,
      chunk.map(({ content }) => content),
    );
    await tx.query(KEEP, [
      userId,
      id,
      from,
      sealed.map((passage) => passage.id),
      sealed.map(({ content }) => content),
      sealed.map(({ lexemes }) => lexemes),
      chunk.map(({ startsAt }) => startsAt),
      chunk.map(({ embedding }) => (embedding ? vectorText(embedding) : null)),
      model,
    ]);
  }
}

export async function removePassages(tx: Transaction, { userId, id }: Document): Promise<void> {
  await tx.query('delete from document_passages where user_id = $1 and document_id = $2', [userId, id]);
}
