import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { cutPassages } from './passages';

const wordsIn = (text: string) => text.match(/\S+/g)?.length ?? 0;
const withoutSpace = (text: string) => text.replace(/\s+/g, '');
const sentence = (words: number, nr = 0) => `${Array.from({ length: words }, (_, at) => `word${nr}x${at}`).join(' ')}.`;
const contents = (text: string) => cutPassages(text).map(({ content }) => content);

/** Words, sentences, headings, code, long runs without a space, and the strangest characters. */
const piece = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.constantFrom(
    ' ',
    '\n',
    '\n\n',
    '\r\n',
    '\t',
    '. ',
    '!\n',
    '# Heading\n',
    '\n## ',
    '```\n',
    '\u00a0',
    '\u200b',
    '光合作用。',
    '🌱',
  ),
  fc.nat(80).map((count) => sentence(count)),
);
const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));

describe('Passages', () => {
  it('AI-9 have at most 60 words and 500 characters, say where they are, and leave nothing out', () => {
    fc.assert(
      fc.property(text, (content) => {
        const passages = cutPassages(content);
        let end = 0;
        for (const passage of passages) {
          expect(wordsIn(passage.content)).toBeLessThanOrEqual(60);
          expect(passage.content.length).toBeLessThanOrEqual(500);
          expect(passage.content).toBe(passage.content.trim());
          expect(passage.content).not.toBe('');
          expect(passage.content.isWellFormed() || !content.isWellFormed()).toBe(true);
          expect(content.startsWith(passage.content, passage.startsAt)).toBe(true);
          expect(content.slice(end, passage.startsAt).trim()).toBe('');
          end = passage.startsAt + passage.content.length;
        }
        expect(withoutSpace(contents(content).join(''))).toBe(withoutSpace(content));
      }),
      { numRuns: 1000 },
    );
  });

  it('end with a paragraph, else with a sentence, else with a line', () => {
    const paragraphs = [`${sentence(20, 1)} ${sentence(10, 2)}`, `${sentence(20, 3)} ${sentence(20, 4)}`];
    expect(contents(paragraphs.join('\n\n'))).toEqual(paragraphs);
    const sentences = [`${sentence(20, 1)} ${sentence(15, 2)}`, sentence(40, 3)];
    expect(contents(sentences.join(' '))).toEqual(sentences);
    const lines = [sentence(30, 1).replace('.', ''), sentence(40, 2).replace('.', '')];
    expect(contents(lines.join('\n'))).toEqual(lines);
    expect(cutPassages(sentence(100)).map(({ content }) => wordsIn(content))).toEqual([expect.any(Number), expect.any(Number)]);
  });

  it('begin anew with a heading, which never stands alone', () => {
    const text = sentence(20);
    const first = `# One\n\n## Under it\n\n${text}`;
    expect(contents(`${first}\n\n## Two\nA few words.\n\n### Three\nSome more.\n#4 is no heading`)).toEqual([
      first,
      '## Two\nA few words.\n\n### Three\nSome more.\n#4 is no heading',
    ]);
  });

  it('put short paragraphs together', () => {
    const short = Array.from({ length: 9 }, (_, nr) => sentence(5, nr)).join('\n\n');
    expect(contents(short)).toEqual([short]);
  });

  it('of nothing are none', () => {
    expect([cutPassages(''), cutPassages(' \n ')]).toEqual([[], []]);
  });

  it('of a mebibyte are there within a second, whatever it is made of', () => {
    for (const content of [
      'x'.repeat(2 ** 20),
      'x '.repeat(2 ** 19),
      'x.\n\n'.repeat(2 ** 18),
      '🌱'.repeat(2 ** 18),
      '# '.repeat(2 ** 19),
    ]) {
      const began = performance.now();
      expect(withoutSpace(contents(content).join(''))).toHaveLength(withoutSpace(content).length);
      expect(performance.now() - began).toBeLessThan(1000);
    }
  });

  it("of Fastify's guide of validation are about as long as the model reads", () => {
    const guide = readFileSync(
      join(__dirname, '../../../../node_modules/fastify/docs/Reference/Validation-and-Serialization.md'),
      'utf8',
    );
    const passages = cutPassages(guide);
    const mean = wordsIn(guide) / passages.length;
    expect(mean).toBeGreaterThan(20);
    expect(mean).toBeLessThan(60);
  });
});
