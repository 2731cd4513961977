import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export const FOLDOC = '/usr/share/dictd/foldoc.dict.dz';
const INDEX = '/usr/share/dictd/foldoc.index';
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export interface Article {
  headwords: string[];
  text: string;
}

/** The articles of the Free On-line Dictionary of Computing. @see dictfmt(1) for the format */
export function readFoldoc(): Article[] {
  const texts = gunzipSync(readFileSync(FOLDOC));
  const articles = new Map<number, Article>();
  for (const line of readFileSync(INDEX, 'utf8').trimEnd().split('\n')) {
    const [headword, offset, length] = line.split('\t') as [string, string, string];
    if (headword.startsWith('00-')) continue; // about the dictionary itself
    const from = numberOf(offset);
    const article = articles.get(from) ?? { headwords: [], text: textAt(texts, from, numberOf(length)) };
    article.headwords.push(headword);
    articles.set(from, article);
  }
  return [...articles.values()];
}

/** References to other articles are in braces, which are no part of the text. */
const textAt = (texts: Buffer, from: number, length: number) =>
  texts
    .toString('utf8', from, from + length)
    .replace(/[{}]/g, '')
    .replace(/^ {3}/gm, '')
    .trim();

const numberOf = (digits: string) => [...digits].reduce((sum, digit) => 64 * sum + DIGITS.indexOf(digit), 0);
