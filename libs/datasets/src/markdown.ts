import { isUtf8 } from 'node:buffer';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { readNewDocument, type NewDocument } from '@studently/ai-interactions';
import { DomainError, lineOf, refuseUnkeepable, type BulkLine, type Rejection } from '@studently/platform';
import { knownId } from './known-id';

const MAX_TITLE = 300;
/** No document is longer: a file that is is not even read. */
const MAX_BYTES = 1024 * 1024;

class FileRefused extends DomainError {
  constructor(path: string, why: string) {
    super('invalid', 'FILE_REFUSED', `${path} ${why}`);
  }
}

/**
 * A document of each Markdown file in a folder and those below it, or of a single file. A line stands for a file, in the
 * order of their paths; hidden folders and node_modules are left out. The same file gives the same document, with the same id.
 * @param source says in the metadata where the documents come from
 */
export async function* readMarkdown(path: string, source = basename(path)): AsyncGenerator<BulkLine<NewDocument> | Rejection> {
  let line = 0;
  for await (const file of markdownFiles(path)) {
    const bytes = await readUpTo(file, MAX_BYTES);
    const name = file === path ? basename(file) : relative(path, file).split(sep).join('/');
    yield lineOf(++line, bytes?.length ?? 0, () => documentOf(name, source, bytes));
  }
}

async function* markdownFiles(path: string): AsyncGenerator<string> {
  if (!(await stat(path)).isDirectory()) {
    yield path;
    return;
  }
  const entries = await readdir(path, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) {
      if (!entry.name.startsWith('.') && entry.name !== 'node_modules') yield* markdownFiles(join(path, entry.name));
    } else if (entry.isFile() && /\.(md|markdown)$/i.test(entry.name)) yield join(path, entry.name);
  }
}

/** @returns undefined where the file is longer */
async function readUpTo(file: string, limit: number): Promise<Buffer | undefined> {
  return (await stat(file)).size > limit ? undefined : readFile(file);
}

function documentOf(path: string, source: string, bytes: Buffer | undefined): NewDocument {
  if (!bytes) throw new FileRefused(path, `has more than ${MAX_BYTES} bytes.`);
  if (!isUtf8(bytes)) throw new FileRefused(path, 'is not UTF-8.');
  const content = bytes.toString('utf8').replace(/^\uFEFF/, '');
  if (content.trim() === '') throw new FileRefused(path, 'is empty.');
  const id = knownId(source, path, content);
  const document = { id, type: 'markdown', title: titleOf(content) ?? basename(path), content, metadata: { path, source } };
  refuseUnkeepable(document);
  return readNewDocument(document);
}

/** The first heading (`# A title`) that is not in a block of code. */
function titleOf(markdown: string): string | undefined {
  let fence: string | undefined;
  for (const [line] of markdown.matchAll(/.+/g)) {
    const mark = /^(```|~~~)/.exec(line)?.[0];
    if (mark) fence = fence === undefined ? mark : fence === mark ? undefined : fence;
    const [, heading] = fence === undefined ? (/^#{1,6}[ \t]+(.*)/.exec(line.slice(0, MAX_TITLE)) ?? []) : [];
    const title = heading?.replace(/[*_`]/g, '').trim();
    if (title) return title;
  }
  return undefined;
}
