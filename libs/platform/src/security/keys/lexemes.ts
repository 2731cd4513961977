import type { LearnerCipher } from './learner-cipher';

/**
 * SQL of the words of a text, in their stems, with their positions. A tsvector holds 1 MB at most, and the parser's time
 * grows with the square of a run without a space.
 */
export const lexemesOf = (text: string): string => `
  (select coalesce(json_agg(json_build_array(lexeme, positions)), '[]') from
    unnest(to_tsvector('english', regexp_replace(left(${text}, 100000), '(\\S{200})', '\\1 ', 'g'))))`;

export type Lexemes = [lexeme: string, positions: number[]][];

/** A tsvector, as text, of keyed hashes. Positions stay, so that ranking works. */
export function hashedLexemes(cipher: LearnerCipher, lexemes: Lexemes): string {
  return lexemes.map(([lexeme, positions]) => `'${cipher.lexeme(lexeme)}':${positions.join(',')}`).join(' ');
}
