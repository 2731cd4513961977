import { randomUUID } from 'node:crypto';
import { hashedLexemes, lexemesOf, type Lexemes, type Transaction } from '@studently/platform';
import { textWithContext, type Passage } from '../domain/passages';
import { shownText } from '../domain/shown-text';

/** A passage as its row keeps it. */
export interface SealedPassage {
  id: string;
  content: Buffer;
  /** Its headings. */
  context: Buffer | null;
  /** A tsvector, as text. */
  lexemes: string;
}

/**
 * Seals passages: what a search shows of them. Only one with a supplied embedding is longer, and that is the document itself.
 * PostgreSQL finds the words of their texts and contexts, which are given to it as parameters and kept nowhere.
 */
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
      content: cipher.seal('document_passages.content', id, shownText(content)),
      context: headings.length > 0 ? cipher.seal('document_passages.context', id, headings.join('\n')) : null,
      lexemes: hashedLexemes(cipher, rows[nr]!.lexemes),
    };
  });
}
