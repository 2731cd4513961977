import { ownerOf, type Database, type Learner, type LearnerKeys } from '@studently/platform';

/** The words of a text, in their stems; none where it has no word that counts. */
const WORDS = `select plainto_tsquery('english', $1)::text as words`;
/** A quoted lexeme in a tsquery. */
const LEXEME = /'(?:[^'\\]|''|\\.)*'/g;

/** As tsqueries: any of the words of a text, and all of them, as the learner's keyed hashes. The words are parameters, and kept nowhere. */
export async function hashedWordsOf(
  database: Database,
  keys: LearnerKeys,
  actor: Learner,
  text: string,
): Promise<[any: string, all: string]> {
  const [row] = await database.read<{ words: string }>(actor, WORDS, [text]);
  const cipher = await keys.toSeal(ownerOf(actor)); // who has nothing yet finds nothing
  const hashes = (row!.words.match(LEXEME) ?? []).map((word) => `'${cipher.lexeme(unquoted(word))}'`);
  return [hashes.join(' | '), hashes.join(' & ')];
}

/** As it is in a tsquery's text: quotes and backslashes are doubled. */
function unquoted(lexeme: string): string {
  return lexeme.slice(1, -1).replaceAll("''", "'").replaceAll('\\\\', '\\');
}
