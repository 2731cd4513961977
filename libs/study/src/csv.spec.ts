import { isRejection, type BulkLine, type Rejection } from '@studently/platform';
import fc from 'fast-check';
import { readStudyCsv } from './csv';
import type { ImportedStudyItem } from './domain/new-study-item';

/** The text as it may arrive: in pieces that end anywhere. */
async function* inPieces(text: string | Buffer, size = 7): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text as string);
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

async function read(source: string | Buffer | AsyncIterable<Buffer>, size?: number) {
  const lines: (BulkLine<ImportedStudyItem> | Rejection)[] = [];
  const chunks = typeof source === 'string' || Buffer.isBuffer(source) ? inPieces(source, size) : source;
  for await (const line of readStudyCsv(chunks)) lines.push(line);
  return {
    items: lines
      .filter((line): line is BulkLine<ImportedStudyItem> => !isRejection(line))
      .map(({ line, value }) => [line, value] as const),
    rejected: lines.filter(isRejection),
  };
}

const cards = (csv: string) => read(`front,back\n${csv}`);

describe('study items from CSV', () => {
  it('ST-3 makes an item of each line: type and tags by name, everything else is content', async () => {
    const { items, rejected } = await read(
      'type,front,back,tags,question,choices,answer\r\n' +
        ',term,meaning,a; b,,,\r\n' +
        'quiz,,,,"Which, of these?",one | two,two\r\n',
    );
    expect(rejected).toEqual([]);
    expect(items).toEqual([
      [2, { type: 'flashcard', content: { front: 'term', back: 'meaning' }, tags: ['a', 'b'] }],
      [3, { type: 'quiz', content: { question: 'Which, of these?', choices: ['one', 'two'], answer: 'two' } }],
    ]);
  });

  it('reads quotes, line breaks within them, a byte order mark, empty lines and a last line without an end', async () => {
    const { items } = await read('\uFEFFfront,back\n"say ""hi""","two\nlines"\n\n\r\nlast,"é😀"');
    expect(items).toEqual([
      [2, expect.objectContaining({ content: { front: 'say "hi"', back: 'two\nlines' } })],
      [6, expect.objectContaining({ content: { front: 'last', back: 'é😀' } })],
    ]);
  });

  it('gives back whatever was written, wherever its pieces end', async () => {
    const field = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text !== '' && !text.includes('\0'));
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(field, field)), fc.integer({ min: 1, max: 50 }), async (rows, size) => {
        const csv = `front,back\n${rows.map((row) => row.map(quoted).join(',')).join('\n')}`;
        const { items, rejected } = await read(csv, size);
        expect(rejected).toEqual([]);
        expect(items.map(([, { content }]) => [content['front'], content['back']])).toEqual(rows);
      }),
    );
  });

  it('never sinks the good lines with a bad one', async () => {
    const { items, rejected } = await cards('a,b\nonly one\na,b,c\nwrong "quote" here,b\n"wrong"quote,b\nnul\0,b\nc,d\n');
    expect(items.map(([line]) => line)).toEqual([2, 8]);
    expect(rejected.map(({ line, code }) => [line, code])).toEqual([
      [3, 'MALFORMED_CSV'],
      [4, 'MALFORMED_CSV'],
      [5, 'MALFORMED_CSV'],
      [6, 'MALFORMED_CSV'],
      [7, 'VALIDATION_FAILED'],
    ]);
    expect(rejected[0]!.detail).toBe('The header names 2 columns, this line has 1.');
  });

  it('refuses what is not UTF-8, line by line', async () => {
    const bytes = Buffer.concat([
      Buffer.from('front,back\na,b\n'),
      Buffer.from([0xff, 0x2c, 0xfe, 0x0a]),
      Buffer.from('c,d\n'),
    ]);
    const { items, rejected } = await read(bytes);
    expect(items.map(([line]) => line)).toEqual([2, 4]);
    expect(rejected).toEqual([{ line: 3, code: 'MALFORMED_CSV', detail: 'The line is not UTF-8.' }]);
  });

  it('comes to a clear end where a quote is never closed', async () => {
    const { items, rejected } = await cards('a,b\n"c,d\ne,f\n');
    expect(items).toHaveLength(1);
    expect(rejected).toEqual([{ line: 3, code: 'MALFORMED_CSV', detail: expect.stringContaining('nothing from here on') }]);
  });

  it('PF-5 holds a record to a size, and reads on to the end without keeping it', async () => {
    let pieces = 0;
    let most = 0;
    async function* endless(opening: string) {
      yield Buffer.from(`front,back\na,b\n${opening}`);
      for (pieces = 0; pieces < 12_000; pieces++) {
        if (pieces % 500 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers);
        yield Buffer.alloc(65_536, `${'x'.repeat(1000)}\n`); // 750 MiB
      }
    }
    const { items, rejected } = await read(endless('"'));
    expect(items).toHaveLength(1);
    expect(rejected).toEqual([{ line: 3, code: 'MALFORMED_CSV', detail: expect.stringContaining('a quote not closed') }]);
    expect(pieces).toBe(12_000); // an HTTP request is read to its end, so that it can be answered
    expect(most).toBeLessThan(400 * 1024 * 1024); // what is let go is not collected at once
  });

  it('PF-5 keeps empty lines between quotes for what they are, and holds them to the size of a record as well', async () => {
    let most = 0;
    async function* empty(mebibytes: number) {
      yield Buffer.from('front,back\n"');
      for (let pieces = 0; pieces < 16 * mebibytes; pieces++) yield Buffer.alloc(65_536, '\n');
      most = process.memoryUsage().heapUsed - before;
      yield Buffer.from('x",y\n');
    }
    const before = process.memoryUsage().heapUsed;
    expect((await read(empty(2))).items).toHaveLength(1);
    expect(most).toBeLessThan(150 * 1024 * 1024);
    expect((await read(empty(9))).rejected[0]).toMatchObject({
      line: 2,
      detail: expect.stringContaining('a quote not closed'),
    });
  }, 60_000);

  it.each([
    ['a name that is too long', `front,${'x'.repeat(101)}\na,b\n`],
    ['too many names', `${Array.from({ length: 101 }, (_, nr) => `name${nr}`).join()}\na,b\n`],
    ['a name twice', 'front,front\na,b\n'],
    ['an empty name', 'front,\na,b\n'],
    ['a name that no item may have', '__proto__,back\na,b\n'],
    ['a broken quote', 'fr"ont,back\na,b"\n'],
  ])('says what is wrong with a header: %s', async (_, csv) => {
    const { items, rejected } = await read(csv);
    expect(items).toEqual([]);
    expect(rejected).toHaveLength(1);
    expect(rejected[0]!.line).toBe(1);
  });

  it('finds nothing in nothing', async () => {
    for (const nothing of ['', '\n\n', 'front,back']) expect(await read(nothing)).toEqual({ items: [], rejected: [] });
  });

  it('survives any bytes at all', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await read(Buffer.concat([Buffer.from('front,back\n'), bytes]));
      }),
    );
  });
});
