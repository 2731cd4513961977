import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { cutPassages, passageLimits, textWithContext } from './passages';
import { countTokens } from './structure';

const wordsIn = (text: string) => text.match(/\S+/g)?.length ?? 0;
const withoutSpace = (text: string) => text.replace(/\s+/g, '');
/** Of words with one token each. */
const sentence = (words: number, nr = 0) =>
  `${Array.from({ length: words }, (_, at) => `w${letter(nr)}${letter(at / 26)}${letter(at)}`).join(' ')}.`;
const letter = (nr: number) => String.fromCharCode(97 + (Math.floor(nr) % 26));
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
  fc.tuple(fc.constantFrom(' ', '\n', '\r\n', '\u3000'), fc.nat(2000)).map(([gap, times]) => gap.repeat(times)),
);
const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));

/** Without what the overlap repeats. */
function whatIsNew(text: string): string {
  let end = 0;
  return cutPassages(text)
    .map(({ startsAt, endsAt }) => {
      const from = Math.max(startsAt, end);
      end = endsAt;
      return text.slice(from, endsAt);
    })
    .join('');
}

describe('Passages', () => {
  it('AI-9 keep to the limits with their context, say where they are, and leave nothing out', () => {
    const model = fc.constantFrom(60, 30, 300);
    fc.assert(
      fc.property(text, model, (content, maxWords) => {
        const limits = passageLimits(maxWords);
        const passages = cutPassages(content, limits);
        let [start, end] = [-1, 0];
        for (const passage of passages) {
          const embedded = textWithContext(passage);
          expect(wordsIn(embedded)).toBeLessThanOrEqual(limits.words);
          expect(embedded.length).toBeLessThanOrEqual(limits.characters);
          expect(countTokens(embedded)).toBeLessThanOrEqual(limits.tokens);
          expect(passage.content).toBe(content.slice(passage.startsAt, passage.endsAt));
          expect(passage.content).toBe(passage.content.trim());
          expect(passage.content.isWellFormed() || !content.isWellFormed()).toBe(true);
          expect(passage.startsAt).toBeGreaterThan(start);
          expect(passage.endsAt).toBeGreaterThan(end);
          if (passage.startsAt > end) expect(content.slice(end, passage.startsAt).trim()).toBe('');
          [start, end] = [passage.startsAt, passage.endsAt];
        }
        expect(content.slice(end).trim()).toBe('');
      }),
      { numRuns: 1000 },
    );
  });

  it('end before a gap that is longer than a passage may be', () => {
    const [one, other] = ['One two three. Four five six.', 'Seven eight.'];
    for (const gap of ['\n', ' ', ' \n']) expect(contents(one + gap.repeat(600) + other)).toEqual([one, other]);
  });

  it('end with a paragraph, else with a sentence, else with a line', () => {
    const paragraphs = [`${sentence(20, 1)} ${sentence(16, 2)}`, `${sentence(20, 3)} ${sentence(20, 4)}`];
    expect(contents(paragraphs.join('\n\n'))).toEqual(paragraphs);
    const sentences = [`${sentence(20, 1)} ${sentence(16, 2)}`, sentence(30, 3)];
    expect(contents(sentences.join(' '))).toEqual(sentences);
    const lines = [sentence(30, 1).replace('.', ''), sentence(40, 2).replace('.', '')];
    expect(contents(lines.join('\n'))).toEqual(lines);
    expect(cutPassages(sentence(70)).map(({ content }) => wordsIn(content))).toEqual([60, 10]);
  });

  it('begin anew with a heading, which never stands alone', () => {
    const text = sentence(25);
    const first = `# One\n\n## Under it\n\n${text}`;
    expect(contents(`${first}\n\n## Two\nA few words.\n\n### Three\nSome more.\n#4 is no heading`)).toEqual([
      first,
      '## Two\nA few words.\n\n### Three\nSome more.\n#4 is no heading',
    ]);
    expect(contents(`${text}\n\nTwo\n---\n\n${sentence(25)}`)).toEqual([text, `Two\n---\n\n${sentence(25)}`]);
    expect(cutPassages(`## Before a long one\n${sentence(58)}`)[0]!.content).toMatch(/^## Before a long one\nw/);
  });

  it('know their headings, and are embedded with those that are not in them, shortened', () => {
    const text = [
      '# The *whole* guide [of](x) `it` #',
      sentence(30, 1),
      '## A part',
      sentence(50, 2),
      sentence(25, 3),
      '## Another part\n### Deep in it, with so many words that it is too long a heading',
      sentence(25, 4),
      sentence(25, 5),
    ].join('\n\n');
    const deep = 'Deep in it, with so many words that it is too long a heading';
    expect(cutPassages(text).map(({ headings, context }) => [headings, context])).toEqual([
      [['The whole guide of it'], ''],
      [['The whole guide of it', 'A part'], 'The whole guide of it'],
      [['The whole guide of it', 'A part'], 'The whole guide of it > A part'],
      [['The whole guide of it', 'Another part', deep], 'The whole guide of it'],
      [['The whole guide of it', 'Another part', deep], ''],
    ]);
  });

  it('begin with the last sentences of the one before, if they are short and of the same section', () => {
    const [long, short] = [sentence(40, 1), 'This is short. And this, too.'];
    expect(contents(`${long} ${short}\n\n${sentence(50, 2)}`)).toEqual([`${long} ${short}`, `${short}\n\n${sentence(50, 2)}`]);
    expect(contents(`${long} ${short}\n\n# A heading\n${sentence(50, 2)}`)).toEqual([
      `${long} ${short}`,
      `# A heading\n${sentence(50, 2)}`,
    ]);
    const further = `${sentence(20, 3)} ${sentence(16, 4)}`; // too long to be said again
    expect(contents(`${further}\n\n${sentence(50, 2)}`)).toEqual([further, sentence(50, 2)]);
  });

  it('do not cut a line of code or of a table that fits, nor what introduces it from it', () => {
    const codeLine = fc.integer({ min: 1, max: 8 }).map((count) => `  ${Array(count).fill('call(a);').join(' ')}`);
    const block = fc.oneof(
      fc.array(codeLine, { minLength: 1, maxLength: 20 }).map((lines) => ['```js', ...lines, '```'].join('\n')),
      fc.array(codeLine, { minLength: 1, maxLength: 20 }).map((lines) => lines.map((line) => `| ${line} | x |`).join('\n')),
      fc.array(codeLine, { minLength: 1, maxLength: 20 }).map((lines) => lines.map((line) => `    ${line}`).join('\n')),
      fc.nat(30).map((count) => sentence(count)),
      fc.constant('## Heading'),
    );
    fc.assert(
      fc.property(fc.array(block, { maxLength: 8 }), (blocks) => {
        const content = blocks.join('\n\n');
        for (const { startsAt, endsAt } of cutPassages(content)) {
          for (const at of [startsAt, endsAt]) {
            const line = content.slice(content.lastIndexOf('\n', at - 1) + 1, (content + '\n').indexOf('\n', at));
            if (line.includes('call')) expect(line.trim()).toBe(content.slice(at).split('\n')[0] || line.trim());
          }
        }
      }),
    );
    const code = `\`\`\`\n${sentence(12, 2)}\n\`\`\``;
    expect(contents(`${sentence(50, 1)}\n\nAs in **this example:**\n${code}\n\n${sentence(20, 3)}`)[1]).toMatch(/^As in/);
  });

  it('put short paragraphs together', () => {
    const short = Array.from({ length: 9 }, (_, nr) => sentence(5, nr)).join('\n\n');
    expect(contents(short)).toEqual([short]);
  });

  it('of nothing are none', () => {
    expect([cutPassages(''), cutPassages(' \n ')]).toEqual([[], []]);
  });

  it('of a mebibyte take two seconds of computing at most, whatever it is made of', () => {
    for (const content of [
      'x'.repeat(2 ** 20),
      'x '.repeat(2 ** 19),
      'x.\n\n'.repeat(2 ** 18),
      '🌱'.repeat(2 ** 18),
      '# '.repeat(2 ** 19),
      '# x\n\n'.repeat(2 ** 17),
      '```\n'.repeat(2 ** 18),
    ]) {
      const began = process.cpuUsage();
      expect(withoutSpace(whatIsNew(content))).toHaveLength(withoutSpace(content).length);
      expect(process.cpuUsage(began).user / 1000).toBeLessThan(2000);
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
