import { basename } from 'node:path';
import { readNewDocument, type NewDocument } from '@studently/ai-interactions';
import { lineOf, refuseUnkeepable, type BulkLine, type Rejection } from '@studently/platform';
import { filesOf } from './files';
import { knownId } from './known-id';

const MAX_TITLE = 300;
/** No document is longer: a file that is is not even read. */
const MAX_BYTES = 1024 * 1024;

/**
 * A document of each Markdown file in a folder and those below it, or of a single file. A line stands for a file, in the
 * order of their paths; hidden folders and node_modules are left out. The same file gives the same document, with the same id.
 * @param source says in the metadata where the documents come from
 */
export async function* readMarkdown(path: string, source = basename(path)): AsyncGenerator<BulkLine<NewDocument> | Rejection> {
  let line = 0;
  for await (const { name, bytes, text } of filesOf(path, /\.(md|markdown)$/i, MAX_BYTES)) {
    yield lineOf(++line, bytes, () => documentOf(name, source, text()));
  }
}

function documentOf(path: string, source: string, content: string): NewDocument {
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
