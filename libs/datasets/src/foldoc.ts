import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { readNewDocument, type NewDocument } from '@studently/ai-interactions';
import { lineOf, type BulkLine, type Rejection } from '@studently/platform';
import { debianPackage } from './debian-package';
import { knownId } from './known-id';

/** What the edition of Debian 12 holds. */
export const FOLDOC_ARTICLES = 12_014;

const SOURCE = 'foldoc';
const MAX_TITLE = 300;
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** `{an article}`, or `{a page (http://…)}`. */
const REFERENCE = /\{([^{}]{1,300})\}/g;

/** Where an article is in the file, in bytes. */
interface Place {
  offset: number;
  length: number;
}

/**
 * The articles of the Free On-line Dictionary of Computing, in the order of the file, which is read as a stream; what they refer
 * to is in their metadata. The same article gives the same document, with the same id.
 * @see https://datatracker.ietf.org/doc/html/rfc2229 and dictfmt(1) for the format
 * @throws ConfigurationError where the package dict-foldoc is not installed
 */
export async function* readFoldoc(): AsyncGenerator<BulkLine<NewDocument> | Rejection> {
  const places = await readIndex(debianPackage('dict-foldoc', '/usr/share/dictd/foldoc.index'));
  let line = 0;
  for await (const article of articlesOf(debianPackage('dict-foldoc', '/usr/share/dictd/foldoc.dict.dz'), places)) {
    yield lineOf(++line, article.length, () => documentOf(article.toString('utf8')));
  }
}

/** An article has a line for each of its headwords; what the dictionary says about itself has names like 00-database-info. */
async function readIndex(path: string): Promise<Place[]> {
  const places = new Map<number, Place>();
  for (const line of (await readFile(path, 'utf8')).split('\n')) {
    const [headword, offset, length] = line.split('\t');
    if (!offset || !length || headword!.startsWith('00-database')) continue;
    places.set(number(offset), { offset: number(offset), length: number(length) });
  }
  return [...places.values()].sort((one, other) => one.offset - other.offset);
}

/** In base 64, as dictd writes numbers. */
const number = (text: string) => [...text].reduce((value, digit) => value * 64 + DIGITS.indexOf(digit), 0);

async function* articlesOf(path: string, places: readonly Place[]): AsyncGenerator<Buffer> {
  const bytes = createGunzip();
  createReadStream(path)
    .on('error', (error) => bytes.destroy(error))
    .pipe(bytes);
  let held: Buffer = Buffer.alloc(0);
  let next = 0;
  let from = 0;
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    held = Buffer.concat([held, chunk]);
    for (; next < places.length; next++) {
      const { offset, length } = places[next]!;
      if (offset + length > from + held.length) break;
      yield held.subarray(offset - from, offset - from + length);
    }
    const done = Math.min(held.length, (places[next]?.offset ?? Infinity) - from);
    held = held.subarray(done);
    from += done;
  }
}

function documentOf(article: string): NewDocument {
  const [head, ...paragraphs] = article.trim().split(/\n[ \t]*\n/);
  const [headword, ...others] = head!.split('\n').map((line) => line.trim());
  const body = paragraphs.join('\n\n').replace(/^ {1,3}/gm, '');
  const references = [...body.matchAll(REFERENCE)].map(([, reference]) => reference!.replace(/\s+/g, ' '));
  const isLink = (reference: string) => reference.includes('(');
  const title = headword!.slice(0, MAX_TITLE);
  const content = `# ${title}\n\n${[...others, body.replace(REFERENCE, '$1')].join('\n\n')}`.trim();
  return readNewDocument({
    id: knownId(SOURCE, content),
    type: 'reference',
    title,
    content,
    metadata: { source: SOURCE, references: [...new Set(references.filter((reference) => !isLink(reference)))] },
  });
}
