import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { isRejection, type BulkLine, type Rejection } from '@studently/platform';
import type { NewDocument } from '@studently/ai-interactions';
import { htmlText } from '../../../libs/datasets/src/html-text';
import { knownId } from '../../../libs/datasets/src/known-id';

/** A document as a learner brings it. */
export interface JudgedDocument {
  id: string;
  type: string;
  title?: string | null;
  content: string;
}

export interface Question {
  text: string;
  /** The ids of the documents that answer it. */
  relevant: string[];
}

/** Documents, and questions of which somebody else has said what answers them. */
export interface JudgedSet {
  documents: JudgedDocument[];
  questions: Question[];
}

export interface SampleSize {
  /** Another seed chooses others. */
  seed: number;
  /** Everything, instead of what takes minutes. */
  full: boolean;
}

/** Where judgments come from. */
export interface Source {
  name: string;
  /** For the report: what is asked, what is right, and who says so. */
  about: string;
  /** Debian packages, each with a file of it. */
  packages: Record<string, string>;
  read(size: SampleSize): Promise<JudgedSet>;
}

/** The Debian packages that are not installed here. */
export function missingPackages(sources: readonly Source[]): string[] {
  const needed = sources.flatMap(({ packages }) => Object.entries(packages));
  return [...new Set(needed.filter(([, file]) => !existsSync(file)).map(([name]) => name))];
}

/** The same id for the same name in the same set. */
export const documentId = (set: string, name: string) => knownId('eval', set, name);

/** As many of them as wanted, or all: which ones depends on the seed and on each one's key alone. */
export function chosen<T>(all: readonly T[], count: number, seed: number, keyOf: (one: T) => string): T[] {
  const order = new Map(
    all.map((one) => [
      one,
      createHash('sha256')
        .update(`${seed} ${keyOf(one)}`)
        .digest('hex'),
    ]),
  );
  return [...all].sort((a, b) => (order.get(a)! < order.get(b)! ? -1 : 1)).slice(0, count);
}

/** What an import makes of them. */
export async function documentsOf(lines: AsyncIterable<BulkLine<NewDocument> | Rejection>): Promise<NewDocument[]> {
  const documents: NewDocument[] = [];
  for await (const line of lines) if (!isRejection(line)) documents.push(line.value);
  return documents;
}

/** A piece of HTML in one line. */
export const lineOf = (html: string) => htmlText(html).text.replace(/\s+/g, ' ').trim();

export const wordsOf = (text: string) => text.match(/\S+/g)?.length ?? 0;
