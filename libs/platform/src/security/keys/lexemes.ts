import type { LearnerCipher } from './learner-cipher';

/** SQL of the words of a text, in their stems, with their positions. The parser's time grows with the square of a run without a space. */
export const lexemesOf = (text: string): string => `
  (select coalesce(json_agg(json_build_array(lexeme, positions)), '[]') from
    unnest(to_tsvector('english', regexp_replace(left(${text}, 100000), '(\\S{200})', '\\1 ', 'g'))))`;

export type Lexemes = [lexeme: string, positions: number[]][];

/** A tsvector has a mebibyte for words and positions (https://www.postgresql.org/docs/15/textsearch-limitations.html). */
const MOST_BYTES = 2 ** 20 - 1;
/** A hash, how many positions there are, and each of them. */
const bytesOf = (positions: readonly number[]) => 24 + 2 + 2 * positions.length;

/** A tsvector, as text, of keyed hashes. Positions stay, so that ranking works. Of words for which there is no room the last are left out. */
export function hashedLexemes(cipher: LearnerCipher, lexemes: Lexemes): string {
  let bytes = 0;
  const inOrder = lexemes.toSorted(([, [one = 0]], [, [other = 0]]) => one - other);
  const kept = inOrder.filter(([, positions]) => (bytes += bytesOf(positions)) <= MOST_BYTES);
  return kept.map(([lexeme, positions]) => `'${cipher.lexeme(lexeme)}':${positions.join(',')}`).join(' ');
}
