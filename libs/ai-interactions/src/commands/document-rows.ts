import { LockMode } from '@mikro-orm/core';
import { NotFound, type Learner, type Transaction } from '@studently/platform';
import { Document } from '../domain/document.entity';
import { EmbeddingsAway } from '../domain/document.errors';
import { contentKey, type Passage } from '../domain/passages';
import { CLIENT_MODEL, vectorText } from '../domain/vector';
import { sealPassages } from './sealed-passages';

/** A passage with what the model says about it; undefined where it says nothing, or has said it before the document changed. */
export type EmbeddedPassage = Passage & { embedding?: readonly number[] };

/** So many passages are one statement: 8 KB each as text. */
const CHUNK = 100;

const KEEP = `
  with given as (
    select * from unnest($4::uuid[], $5::bytea[], $6::bytea[], $7::text[], $8::int[], $9::int[], $10::bytea[], $11::text[])
      with ordinality given (id, content, context, lexemes, starts_at, ends_at, content_key, embedding, nr)
  ), passages as (
    insert into document_passages
      (user_id, document_id, id, ordinal, content_sealed, context_sealed, lexemes_sealed, starts_at, ends_at, content_key)
    select $1, $2, id, $3 + nr, content, context, lexemes::tsvector, starts_at, ends_at, content_key from given
  ), vectors as (
    select given.id, s.space, coalesce(given.embedding::vector, former.embedding) as embedding
    from given join vector_spaces s on s.model = $12
    left join former_vectors former on former.user_id = $1 and former.document_id = $2 and former.space = s.space
      and former.content_key = given.content_key
  )
  insert into passage_vectors (user_id, passage_id, document_id, space, embedding)
  select $1, id, $2, space, embedding from vectors where embedding is not null`;

const REMOVE = `
  with former as (
    insert into former_vectors (user_id, document_id, space, content_key, embedding)
    select $1, $2, v.space, p.content_key, v.embedding
    from document_passages p join passage_vectors v on v.user_id = p.user_id and v.passage_id = p.id
    where p.user_id = $1 and p.document_id = $2 and p.content_key is not null
    on conflict do nothing
  )
  delete from document_passages where user_id = $1 and document_id = $2`;

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

/** Keeps the passages of a document that has none, with vectors as they are given or were before. The document has to be in the database. */
export async function addPassages(
  tx: Transaction,
  { userId, id }: Document,
  passages: readonly EmbeddedPassage[],
  model: string,
): Promise<void> {
  const cipher = await tx.cipher(userId);
  for (let from = 0; from < passages.length; from += CHUNK) {
    const chunk = passages.slice(from, from + CHUNK);
    const sealed = await sealPassages(tx, userId, chunk);
    await tx.query(KEEP, [
      userId,
      id,
      from,
      sealed.map((passage) => passage.id),
      sealed.map(({ content }) => content),
      sealed.map(({ context }) => context),
      sealed.map(({ lexemes }) => lexemes),
      chunk.map(({ startsAt }) => startsAt),
      chunk.map(({ endsAt }) => endsAt),
      chunk.map((passage) => (model === CLIENT_MODEL ? null : contentKey(cipher, passage))),
      chunk.map(({ embedding }) => (embedding ? vectorText(embedding) : null)),
      model,
    ]);
  }
}

/** From now on nothing is found by them. Their vectors are put aside, for those that will be in the document again. */
export async function removePassages(tx: Transaction, { userId, id }: Document): Promise<void> {
  await tx.query(REMOVE, [userId, id]);
}

export async function forgetFormerVectors(tx: Transaction, { userId, id }: Document): Promise<void> {
  await tx.query('delete from former_vectors where user_id = $1 and document_id = $2', [userId, id]);
}

/**
 * The mean of a document's vectors, one long.
 * @returns undefined where it has none
 * @throws EmbeddingsAway if nobody keeps vectors of this model any more: those that it was given are kept nowhere
 */
export async function meanVector(tx: Transaction, { userId, id }: Document, model: string): Promise<number[] | undefined> {
  const [row] = await tx.query<{ mean: string | null }>(
    `select l2_normalize(avg(v.embedding))::text as mean
     from vector_spaces s left join passage_vectors v on v.user_id = $1 and v.document_id = $2 and v.space = s.space
     where s.model = $3 group by s.space`,
    [userId, id, model],
  );
  if (!row) throw new EmbeddingsAway();
  return row.mean === null ? undefined : (JSON.parse(row.mean) as number[]);
}

/** While the vectors of another model are kept as well, the passages get theirs by a job. The one that serves may be another one by now. */
export async function leaveToFill(tx: Transaction, { userId, id }: Document, model: string): Promise<void> {
  await tx.query(
    `insert into jobs (job, learner_id, subject_id) select 'fill-document', $1, $2
     where exists (select from vector_spaces where state not in ('supplied', 'removing') and model <> $3)`,
    [userId, id, model],
  );
}
