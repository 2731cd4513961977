import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lineOf, textOf } from './html';
import { chosen, documentId, type JudgedSet, type SampleSize, type Source } from './judged-set';

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
function setOf({ seed, full }: SampleSize): JudgedSet {
  const all = readdirSync(FOLDER).filter((file) => file.endsWith('.html') && file !== INDEX);
  const pages = full ? all.sort() : chosen(all, PAGES, seed, (page) => page);
  const here = new Set(pages);
  const terms = [...entriesOf(readFileSync(join(FOLDER, INDEX), 'utf8'))]
    .map(([term, found]) => ({ term, pages: [...found].filter((page) => here.has(page)) }))
    .filter((entry) => entry.pages.length > 0);
  const asked = full ? terms : chosen(terms, TERMS, seed, ({ term }) => term);
  return {
    documents: pages.map(documentOf),
    questions: asked.map(({ term, pages: right }) => ({ text: term, relevant: right.map((page) => documentId(name, page)) })),
  };
}

function documentOf(page: string) {
  const html = readFileSync(join(FOLDER, page), 'utf8');
  const title = lineOf(/<title>([\s\S]*?)<\/title>/.exec(html)![1]!);
  return { id: documentId(name, page), type: 'reference', title, content: textOf(html) };
}

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
