import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRejection, type BulkLine, type Rejection } from '@studently/platform';
import { readCountries } from './countries';
import { readMarkdown } from './markdown';
import { packageFolder } from './package-folder';
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

it('names the package that is missing', () => {
  expect(() => packageFolder('not-installed-here')).toThrow(
    expect.objectContaining({ code: 'DATASET_MISSING', exitCode: 78, message: expect.stringContaining('not-installed-here') }),
  );
});
