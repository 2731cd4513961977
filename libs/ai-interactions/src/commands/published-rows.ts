import type { Transaction } from '@studently/platform';
import type { Document } from '../domain/document.entity';
import { DocumentNotReady } from '../domain/document.errors';
import { CLIENT_MODEL } from '../domain/vector';

/** So many passages are one statement: each has to find its place in the index. */
const CHUNK = 100;

/** A document has vectors of a model to come, too, while that is being prepared; only those that answer are published. */
const ANSWERING = `passage_vectors v join vector_spaces s on s.space = v.space and s.state in ('supplied', 'serving')`;

const DOCUMENT = `
  insert into published_documents (user_id, id, type, title, metadata, space, vectors, published_at)
  select d.user_id, d.id, d.type, d.title, d.metadata, v.space, count(*), $3
  from documents d
  join document_passages p on p.user_id = d.user_id and p.document_id = d.id
  join (${ANSWERING}) on v.user_id = p.user_id and v.passage_id = p.id
  where d.user_id = $1 and d.id = $2 group by d.user_id, d.id, v.space
  returning id`;

const PASSAGES = `
  insert into published_passages (user_id, id, document_id, ordinal, headings, content, starts_at, ends_at, space, embedding)
  select p.user_id, p.id, p.document_id, p.ordinal, given.headings, given.content, p.starts_at, p.starts_at + given.length, v.space,
    l2_normalize(v.embedding)::halfvec(1536)
  from unnest($2::uuid[], $3::text[], $4::text[], $5::int[]) given (id, headings, content, length)
  join document_passages p on p.user_id = $1 and p.id = given.id
  left join (${ANSWERING}) on v.user_id = p.user_id and v.passage_id = p.id`;

const STORED = `
  select id, content, content_sealed as "contentSealed", context_sealed as "contextSealed" from document_passages
  where user_id = $1 and document_id = $2 order by ordinal`;

interface StoredPassage {
  id: string;
  content: string | null;
  contentSealed: Buffer | null;
  contextSealed: Buffer | null;
}

interface OpenedPassage {
  id: string;
  headings: string | null;
  text: string;
}

/** Copies a document, whose content has to be loaded, as it is now, for everybody: nothing of the copy is sealed. @throws DocumentNotReady, SealedDataUnreadable */
export async function addPublished(tx: Transaction, document: Document): Promise<void> {
  const { userId, id, publishedAt } = document;
  // Between two models there may be none that answers for it.
  if ((await tx.query(DOCUMENT, [userId, id, publishedAt])).length === 0) throw new DocumentNotReady();
  const passages = await openedPassages(tx, document);
  for (let from = 0; from < passages.length; from += CHUNK) {
    const chunk = passages.slice(from, from + CHUNK);
    await tx.query(PASSAGES, [
      userId,
      chunk.map((passage) => passage.id),
      chunk.map(({ headings }) => headings),
      chunk.map(({ text }) => text),
      chunk.map(({ text }) => text.length),
    ]);
  }
}

/** Nobody finds the document any more but its owner. */
export async function removePublished(tx: Transaction, { userId, id }: Document): Promise<void> {
  await tx.query('delete from published_documents where user_id = $1 and id = $2', [userId, id]);
}

async function openedPassages(tx: Transaction, document: Document): Promise<OpenedPassage[]> {
  const cipher = await tx.cipher(document.userId);
  const stored = await tx.query<StoredPassage>(STORED, [document.userId, document.id]);
  return stored.map(({ id, content, contentSealed, contextSealed }) => {
    // The one passage of a supplied embedding is the document, of which the sealed passage has what is shown.
    if (document.embeddingModel === CLIENT_MODEL) return { id, headings: null, text: document.text(cipher) };
    return {
      id,
      headings: contextSealed && cipher.open('document_passages.context', id, contextSealed),
      text: contentSealed ? cipher.open('document_passages.content', id, contentSealed) : content!,
    };
  });
}
