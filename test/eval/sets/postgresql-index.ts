import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NewDocument } from '@studently/ai-interactions';
import { readPostgresqlDoc } from '@studently/datasets';
import { chosen, documentsOf, lineOf, type JudgedSet, type SampleSize, type Source } from './judged-set';

const FOLDER = '/usr/share/doc/postgresql-doc-15/html';
const INDEX = 'bookindex.html';

const name = 'postgresql-index';
const PAGES = 260;
const TERMS = 400;

/** What an index says: under which term, which pages. */
type Entries = Map<string, Set<string>>;

export const postgresqlIndex: Source = {
  name,
  about:
    'Term → page: the terms are those of the index at the end of the PostgreSQL 15 manual ("term, subterm" is asked as "term ' +
    'subterm"), and right are the pages that its authors refer to there. The index itself is no document.',
  packages: { 'postgresql-doc-15': join(FOLDER, INDEX) },
  read: setOf,
};

/** Some pages, and terms that lead to them: a term's other pages are not there, and so cannot be missed. */
async function setOf({ seed, full }: SampleSize): Promise<JudgedSet> {
  const all = await documentsOf(readPostgresqlDoc());
  const documents = full ? all : chosen(all, PAGES, seed, pathOf);
  const here = new Map(documents.map((document) => [pathOf(document), document.id]));
  const questions = [...entriesOf(readFileSync(join(FOLDER, INDEX), 'utf8'))]
    .map(([text, pages]) => ({ text, relevant: [...pages].flatMap((page) => here.get(page) ?? []) }))
    .filter(({ relevant }) => relevant.length > 0);
  return { documents, questions: full ? questions : chosen(questions, TERMS, seed, ({ text }) => text) };
}

const pathOf = ({ metadata }: NewDocument) => String(metadata.path);

/** Entries that only refer to another term have no page. */
export function entriesOf(html: string): Entries {
  const entries: Entries = new Map();
  const path: string[] = [];
  for (const [tag, entry] of html.matchAll(/<dl>|<\/dl>|<dt\b[^>]*>([\s\S]*?)<\/dt>/g)) {
    if (tag === '<dl>') path.push('');
    else if (tag === '</dl>') path.pop();
    else {
      path[path.length - 1] = lineOf(entry!.replace(/, <a\b[\s\S]*/, ''));
      const pages = [...entry!.matchAll(/<a class="indexterm" href="([^"#]+)/g)].map(([, page]) => page!);
      const term = path.join(' ');
      if (pages.length > 0) entries.set(term, new Set([...(entries.get(term) ?? []), ...pages]));
    }
  }
  return entries;
}
