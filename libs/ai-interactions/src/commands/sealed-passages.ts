import { randomUUID } from 'node:crypto';
import { hashedLexemes, lexemesOf, type Lexemes, type Transaction } from '@studently/platform';
import { textWithContext, type Passage } from '../domain/passages';

/** A passage as its row keeps it. */
export interface SealedPassage {
  id: string;
  content: Buffer;
  /** Its headings. */
  context: Buffer | null;
  /** A tsvector, as text. */
  lexemes: string;
}

/** What a search shows of a passage. Only one with a supplied embedding is longer, and that is the document itself. */
const SHOWN_CHARACTERS = 10_000;

/** Seals passages. PostgreSQL finds the words of their texts and contexts, which are given to it as parameters and kept nowhere. */
export async function sealPassages(tx: Transaction, userId: string, passages: readonly Passage[]): Promise<SealedPassage[]> {
  if (passages.length === 0) return [];
  const cipher = await tx.cipher(userId);
  const rows = await tx.query<{ lexemes: Lexemes }>(
    `select ${lexemesOf('text')} as lexemes from unnest($1::text[]) with ordinality given (text, nr) order by nr`,
    [passages.map(textWithContext)],
  );
  return passages.map(({ content, headings }, nr) => {
    const id = randomUUID();
    return {
      id,
      content: cipher.seal('document_passages.content', id, shown(content)),
      context: headings.length > 0 ? cipher.seal('document_passages.context', id, headings.join('\n')) : null,
      lexemes: hashedLexemes(cipher, rows[nr]!.lexemes),
    };
  });
}

/** The same text as PostgreSQL's `left`, which counts characters: one has two code units at most. */
function shown(text: string): string {
  if (text.length <= SHOWN_CHARACTERS) return text;
  return [...text.slice(0, 2 * SHOWN_CHARACTERS)].slice(0, SHOWN_CHARACTERS).join('');
}
