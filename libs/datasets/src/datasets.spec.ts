import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRejection, type BulkLine, type Rejection } from '@studently/platform';
import { readCountries } from './countries';
import { debianPackage } from './debian-package';
import { FOLDOC_ARTICLES, readFoldoc } from './foldoc';
import { readHtml } from './html';
import { htmlText } from './html-text';
import { readMarkdown } from './markdown';
import { packageFolder } from './package-folder';
import { readPostgresqlDoc } from './postgresql-doc';
import { readWordnet, WORDNET_CARDS } from './wordnet';

async function all<T>(lines: AsyncIterable<BulkLine<T> | Rejection>) {
  const found: (BulkLine<T> | Rejection)[] = [];
  for await (const line of lines) found.push(line);
  return {
    read: found.filter((line): line is BulkLine<T> => !isRejection(line)),
    rejected: found.filter(isRejection),
    lines: found.map(({ line }) => line),
  };
}

describe('WordNet', () => {
  it('gives a card of each of its synonym sets, one after the other', async () => {
    let cards = 0;
    let withExamples = 0;
    for await (const card of readWordnet()) {
      if (isRejection(card)) throw new Error(`line ${card.line}: ${card.detail}`);
      expect(card.line === ++cards).toBe(true);
      const { front, back, examples } = card.value.content as { front: string; back: string; examples?: string[] };
      if (front === '' || front.includes('_') || back === '' || /\((p|a|ip)\)$/.test(front)) throw new Error(`odd: ${front}`);
      if (examples) withExamples += 1;
    }
    expect(cards).toBe(WORDNET_CARDS);
    expect(withExamples).toBeGreaterThan(32_000);
  }, 60_000);

  it('tells definition, examples and synonyms apart', async () => {
    const cards = readWordnet(['adj']);
    const { value } = (await cards.next()).value as BulkLine<unknown>;
    await cards.return(undefined);
    expect(value).toEqual({
      type: 'flashcard',
      content: {
        front: 'able',
        back: "(usually followed by `to') having the necessary means or skill or know-how or authority to do something",
        partOfSpeech: 'adjective',
        examples: [
          'able to swim',
          'she was able to program her computer',
          'we were at last able to buy a car',
          'able to get a grant for the project',
        ],
      },
      tags: ['wordnet', 'adjective'],
    });
  });
});

describe('countries', () => {
  it('gives cards that ask for what a country has, and only that', async () => {
    const { read, rejected, lines } = await all(readCountries());
    expect(rejected).toEqual([]);
    expect(read).toHaveLength(1654);
    expect(new Set(lines).size).toBe(read.length);
    const about = (code: string) =>
      Object.fromEntries(
        read
          .filter(({ value }) => value.content['country'] === code)
          .map(({ value }) => [value.tags![1], value.content['back']]),
      );
    expect(about('CHE')).toEqual({
      capital: 'Bern',
      currency: 'Swiss franc (CHF)',
      languages: 'French, Swiss German, Italian, Romansh',
      region: 'Western Europe, Europe',
      borders: 'Austria, France, Italy, Liechtenstein, Germany',
      domain: '.ch',
      demonym: 'Swiss',
    });
    expect(about('ISL')).not.toHaveProperty('borders');
  });
});

describe('Markdown', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'studently-markdown-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const write = (path: string, content: string | Buffer) => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), content);
  };

  it('makes a document of each file, in the order of their paths', async () => {
    write('b/deep.md', '```sh\n# a comment\n```\n\n## The *first* `heading`\ntext');
    write('a.md', 'no heading');
    write('b/other.txt', '# not Markdown');
    write('node_modules/x/README.md', '# not ours');
    write('.git/y.md', '# hidden');
    const { read, lines } = await all(readMarkdown(folder, 'notes'));
    expect(lines).toEqual([1, 2]);
    expect(read.map(({ value: { id: _, ...document } }) => document)).toEqual([
      { type: 'markdown', title: 'a.md', content: 'no heading', metadata: { path: 'a.md', source: 'notes' } },
      {
        type: 'markdown',
        title: 'The first heading',
        content: expect.stringContaining('# a comment'),
        metadata: { path: 'b/deep.md', source: 'notes' },
      },
    ]);
  });

  it('reads a single file', async () => {
    write('one.md', '\uFEFF# One');
    const { read } = await all(readMarkdown(join(folder, 'one.md')));
    expect(read[0]!.value).toMatchObject({ title: 'One', content: '# One', metadata: { path: 'one.md', source: 'one.md' } });
  });

  it('refuses what is no document, and goes on', async () => {
    write('1.md', '');
    write('2.md', Buffer.from([0x23, 0x20, 0xff]));
    write('3.md', 'x'.repeat(1024 * 1024 + 1));
    write('4.md', '# nul\0');
    write('5.md', '# good');
    const { read, rejected } = await all(readMarkdown(folder));
    expect(read.map(({ line }) => line)).toEqual([5]);
    expect(rejected.map(({ line, code }) => [line, code])).toEqual([
      [1, 'FILE_REFUSED'],
      [2, 'FILE_REFUSED'],
      [3, 'FILE_REFUSED'],
      [4, 'VALIDATION_FAILED'],
    ]);
  });

  it("reads Fastify's guides", async () => {
    const { read, rejected } = await all(readMarkdown(join(packageFolder('fastify'), 'docs'), 'fastify'));
    expect(rejected).toEqual([]);
    expect(read.map(({ value }) => value.title)).toContain('Validation and Serialization');
  });
});

describe('HTML', () => {
  const text = (html: string) => htmlText(html).text;

  it('becomes Markdown: headings, lists, tables, quotations and code', () => {
    expect(text('<h2>One  <em>more</em></h2><p>A<br>b &amp; c</p>')).toBe('## One more\n\nA\nb & c');
    expect(text('<ul><li>a<li><p>b</p><p>c</p><ol><li>d</ol></ul>e')).toBe('- a\n\n- b\n\n  c\n\n  1. d\n\ne');
    expect(text('<table><tr><th>x<th>y|z<tr><td>1<td><p>2</p><p>3</p></table>e')).toBe(
      '| x | y\\|z |\n| --- | --- |\n| 1 | 2 3 |\n\ne',
    );
    expect(text('<blockquote><p>a</p><p>b</p></blockquote>')).toBe('> a\n\n> b');
    expect(text('<pre>\n  if (a)\n\n    ```\n</pre>')).toBe('````\n  if (a)\n\n    ```\n````');
    expect(text('<dl><dt>term<dd>meaning</dl><div class="note"><h3>Note</h3><p>text</p></div>')).toBe(
      'term\nmeaning\n\nNote\ntext',
    );
  });

  it('loses scripts, styles and what only leads elsewhere', () => {
    const html = `<title> A
      page</title><style>p{}</style><nav>x</nav><div class="a navheader">x</div><p hidden>x</p><p>y<script>x</script></p><p role=navigation>x`;
    expect(htmlText(html)).toEqual({ title: 'A page', text: 'y' });
    expect(text('<div>'.repeat(10_000))).toBe('');
  });

  it('is a document a file, under its title', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-html-'));
    try {
      writeFileSync(join(folder, 'a.html'), '<title>Grass</title><h2>Colour</h2>Green.');
      writeFileSync(join(folder, 'b.htm'), '<h3>Moon</h3>A rock.');
      writeFileSync(join(folder, 'c.html'), '<script>x</script>');
      const { read, rejected } = await all(readHtml(folder));
      expect(read.map(({ value }) => [value.title, value.content])).toEqual([
        ['Grass', '# Grass\n\n## Colour\n\nGreen.'],
        ['Moon', '# Moon\n\nA rock.'],
      ]);
      expect(rejected).toMatchObject([{ line: 3, code: 'FILE_REFUSED' }]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('Debian packages', () => {
  it('FOLDOC gives each of its articles, with what it refers to', async () => {
    const { read, rejected } = await all(readFoldoc());
    expect(rejected).toEqual([]);
    expect(read).toHaveLength(FOLDOC_ARTICLES);
    expect(new Set(read.map(({ value }) => value.id)).size).toBe(FOLDOC_ARTICLES);
    const article = read.find(({ value }) => value.title === 'active matrix display')!.value;
    expect(article.content).toMatch(/^# active matrix display\n\n<hardware> A type of liquid crystal display where each\n/);
    expect(article.metadata).toEqual({
      source: 'foldoc',
      references: ['liquid crystal display', 'pixel', 'transistor', 'passive matrix display'],
    });
  });

  it('the manual of PostgreSQL gives its pages, but for the index', async () => {
    const pages: Record<string, string> = {};
    for await (const line of readPostgresqlDoc()) {
      if (isRejection(line)) throw new Error(line.detail);
      pages[line.value.metadata['path'] as string] = line.value.content;
    }
    expect(Object.keys(pages).length).toBeGreaterThan(1100);
    expect(pages).not.toHaveProperty('bookindex.html');
    expect(pages['sql-vacuum.html']).toMatch(/^# VACUUM\n\nVACUUM — garbage-collect .*\n\n## Synopsis\n\n```\nVACUUM \[/);
  });

  it('that are missing are named', () => {
    expect(() => debianPackage('dict-nothing', '/usr/share/dictd/nothing.index')).toThrow(
      expect.objectContaining({
        code: 'DATASET_MISSING',
        exitCode: 78,
        message: expect.stringContaining('apt-get install dict-nothing'),
      }),
    );
  });
});

it('names the package that is missing', () => {
  expect(() => packageFolder('not-installed-here')).toThrow(
    expect.objectContaining({ code: 'DATASET_MISSING', exitCode: 78, message: expect.stringContaining('not-installed-here') }),
  );
});
