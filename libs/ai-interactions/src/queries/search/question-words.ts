import type { Database, Learner, LearnerCipher } from '@studently/platform';

/** The words of a text, in their stems; none where it has no word that counts. */
const WORDS = `select plainto_tsquery('english', $1)::text as words`;
/** A quoted lexeme in a tsquery. */
const LEXEME = /'(?:[^'\\]|''|\\.)*'/g;

/** The words of a text that count, in their stems and quoted. They are parameters, and kept nowhere. */
export async function wordsIn(database: Database, actor: Learner, text: string): Promise<string[]> {
  const [row] = await database.query<{ words: string }>(actor, WORDS, [text]);
  return row!.words.match(LEXEME) ?? [];
}

/** As the learner's keyed hashes, which is how words are kept. */
export function hashed(words: readonly string[], cipher: LearnerCipher): string[] {
  return words.map((word) => `'${cipher.lexeme(unquoted(word))}'`);
}

/** As tsqueries: any of the words, and all of them. */
export const anyAndAll = (words: readonly string[]): [any: string, all: string] => [words.join(' | '), words.join(' & ')];

/** As it is in a tsquery's text: quotes and backslashes are doubled. */
function unquoted(lexeme: string): string {
  return lexeme.slice(1, -1).replaceAll("''", "'").replaceAll('\\\\', '\\');
}
