import { basename } from 'node:path';
import { readNewDocument, type NewDocument } from '@studently/ai-interactions';
import { lineOf, refuseUnkeepable, type BulkLine, type Rejection } from '@studently/platform';
import { FileRefused, filesOf } from './files';
import { htmlText } from './html-text';
import { knownId } from './known-id';

const MAX_TITLE = 300;
/** Marks are more than text. */
const MAX_BYTES = 8 * 1024 * 1024;
const FIRST_HEADING = /^#{1,6} (.*)/;

/** What is the same for all documents of an import. */
export interface Pages {
  source: string;
  type: string;
  /** File names that are no documents. */
  leftOut?: ReadonlySet<string>;
}

/**
 * A document of each HTML file in a folder and those below it, or of a single file: its text as Markdown, without scripts and
 * navigation. A line stands for a file, in the order of their paths. The same file gives the same document, with the same id.
 */
export async function* readHtml(
  path: string,
  { source, type, leftOut }: Pages = { source: basename(path), type: 'html' },
): AsyncGenerator<BulkLine<NewDocument> | Rejection> {
  let line = 0;
  for await (const { name, bytes, text } of filesOf(path, /\.x?html?$/i, MAX_BYTES)) {
    if (leftOut?.has(name)) continue;
    yield lineOf(++line, bytes, () => documentOf(name, source, type, text()));
  }
}

function documentOf(path: string, source: string, type: string, html: string): NewDocument {
  const { title: given, text } = htmlText(html);
  if (text === '') throw new FileRefused(path, 'has no text.');
  const title = (given ?? FIRST_HEADING.exec(text)?.[1] ?? basename(path)).slice(0, MAX_TITLE);
  const content = titled(text, title);
  const document = { id: knownId(source, path, content), type, title, content, metadata: { path, source } };
  refuseUnkeepable(document);
  return readNewDocument(document);
}

/** All else stands under the page's title. */
function titled(text: string, title: string): string {
  const [first, heading] = FIRST_HEADING.exec(text) ?? [];
  return heading === title ? `# ${title}${text.slice(first!.length)}` : `# ${title}\n\n${text}`;
}
