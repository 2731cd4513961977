import { createReadStream, type ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { addAbortSignal } from 'node:stream';
import type { Command } from '@nestjs/cqrs';
import { ImportDocuments } from '@studently/ai-interactions';
import {
  COUNTRY_LINES,
  FOLDOC_ARTICLES,
  readCountries,
  readFoldoc,
  readHtml,
  readMarkdown,
  readPostgresqlDoc,
  readWordnet,
  WORDNET_CARDS,
} from '@studently/datasets';
import type { BulkLine, Learner, LinesTaken, Rejection, Written } from '@studently/platform';
import { ImportStudyItems } from '@studently/study';
import { InvalidArgumentError } from 'commander';

/** What is imported, line by line, and by which command. */
export interface Source<T> {
  lines: AsyncIterable<BulkLine<T> | Rejection>;
  command: new (actor: Learner, lines: BulkLine<T>[], batchId?: string) => Command<Written<LinesTaken>>;
  /** The same as long as the content is, so that whoever runs it again goes on where it stopped. */
  batch?: string;
  /** A line that is taken twice is one, without any batch. */
  isRepeatable?: true;
  extent?: Extent;
}

/** How far it goes: in lines, or in what `position` counts. */
interface Extent {
  total: number;
  position?: () => number;
}

export const wordnet = () => ({
  lines: readWordnet(),
  command: ImportStudyItems,
  batch: 'wordnet',
  extent: { total: WORDNET_CARDS },
});

export const countries = () => ({
  lines: readCountries(),
  command: ImportStudyItems,
  batch: 'countries',
  extent: { total: COUNTRY_LINES },
});

/** A document is known by its path and content: files may come and go between two runs. */
export async function markdown(path: string) {
  await stat(path);
  return { lines: readMarkdown(resolve(path)), command: ImportDocuments, isRepeatable: true as const };
}

export async function html(path: string) {
  await stat(path);
  return { lines: readHtml(resolve(path)), command: ImportDocuments, isRepeatable: true as const };
}

export const foldoc = () => ({
  lines: readFoldoc(),
  command: ImportDocuments,
  isRepeatable: true as const,
  extent: { total: FOLDOC_ARTICLES },
});

export const postgresqlDoc = () => ({
  lines: readPostgresqlDoc(),
  command: ImportDocuments,
  isRepeatable: true as const,
});

/**
 * The lines of a file, or of the standard input (`-`).
 * A file is known by its place, length and time; what comes through a pipe is not known.
 */
export async function file<T>(
  path: string,
  signal: AbortSignal,
  read: (source: AsyncIterable<Buffer>) => Source<T>['lines'],
  command: Source<T>['command'],
): Promise<Source<T>> {
  if (path === '-') return { lines: read(addAbortSignal(signal, process.stdin)), command };
  const found = await stat(path);
  if (found.isDirectory()) throw new InvalidArgumentError(`${path} is a folder: name a file.`);
  const stream: ReadStream = addAbortSignal(signal, createReadStream(path));
  return {
    lines: read(stream),
    command,
    batch: `${resolve(path)} ${found.size} ${found.mtimeMs}`,
    extent: { total: found.size, position: () => stream.bytesRead },
  };
}

/** The first lines, and none any more once `signal` says so. */
export async function* upTo<L>(lines: AsyncIterable<L>, limit: number, signal: AbortSignal): AsyncGenerator<L> {
  let count = 0;
  try {
    for await (const line of lines) {
      if (signal.aborted) return;
      yield line;
      if (++count === limit) return;
    }
  } catch (error) {
    if (!signal.aborted) throw error; // a stream that is aborted fails
  }
}
