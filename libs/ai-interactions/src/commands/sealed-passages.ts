import { randomUUID } from 'node:crypto';
import { hashedLexemes, lexemesOf, type Lexemes, type Transaction } from '@studently/platform';
import { shownText } from '../domain/shown-text';

/** A passage as its row keeps it. */
export interface SealedPassage {
  id: string;
  content: Buffer;
  /** A tsvector, as text. */
  lexemes: string;
}

/**
 * Seals the texts of passages: what a search shows of them. Only one with a supplied embedding is longer, and that is the document itself.
 * PostgreSQL finds their words, which are given to it as parameters and kept nowhere.
 */
export async function sealPassages(tx: Transaction, userId: string, texts: readonly string[]): Promise<SealedPassage[]> {
  if (texts.length === 0) return [];
  const cipher = await tx.cipher(userId);
  const rows = await tx.query<{ lexemes: Lexemes }>(
    `select ${lexemesOf('text')} as lexemes from unnest($1::text[]) with ordinality given (text, nr) order by nr`,
    [texts],
  );
  return texts.map((text, nr) => {
    const id = randomUUID();
    const content = cipher.seal('document_passages.content', id, shownText(text));
    return { id, content, lexemes: hashedLexemes(cipher, rows[nr]!.lexemes) };
  });
}
