import fc from 'fast-check';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { chooseContext, tokensOf, type Candidates, type ContextItem, type Found, type Turn } from './choose-context';
import { loadTokenizer, untilEndlessRun, type Tokenizer } from './tokenizer';

const ROLES = ['user', 'assistant', 'tool', 'system'] as const;
const SCRIPTS =
  'Ελληνικά кириллица 漢字かな交じり文 العربية עברית हिन्दी ภาษาไทย 한국어 ქართული 👩‍👩‍👧‍👦 🇩🇪 é e\u0301 <|endoftext|> <|im_start|> \n\n \t {"a":[1.5e9]}'.split(
    ' ',
  );
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.array(fc.oneof(fc.constantFrom(...SCRIPTS), fc.lorem({ maxCount: 5 })), { maxLength: 20 }).map((parts) => parts.join(' ')),
  fc.tuple(fc.constantFrom('a', ' ', '\n', '漢', '!', '👩‍👩‍👧‍👦'), fc.nat(300)).map(([unit, times]) => unit.repeat(times)),
);
const turn = fc.record({ role: fc.constantFrom(...ROLES), text });
const passage = fc.record({ document: fc.nat(2), startsAt: fc.nat(200), text, title: fc.option(text) });

interface Place {
  document?: number;
  startsAt?: number;
  title?: string | null;
  ordinal?: number;
  headings?: string[];
}

const found = (
  content: string,
  { document = 0, startsAt = 0, title = 'A guide', ordinal = 1, headings = [] }: Place = {},
): Found => ({
  kind: 'passage',
  document: { id: `d${document}`, type: 'text', title, metadata: {} },
  passage: {
    id: `p${document}-${startsAt}-${content.length}-${ordinal}`,
    ordinal,
    text: content,
    startsAt,
    endsAt: startsAt + content.length,
    headings,
  },
  score: 0.01,
});
const turnsOf = (texts: string[]): Turn[] =>
  texts.map((content, nr) => ({ id: `t${nr + 1}`, seq: nr + 1, role: 'user' as const, text: content })).toReversed();
const foundTurn = (message: Turn): Found => ({ kind: 'turn', message, score: 0.02 });
const nothing: Candidates = { turns: [], found: [], alike: new Map() };
const contents = (items: ContextItem[]) => items.map(({ rendered }) => rendered.content);

const candidates: fc.Arbitrary<Candidates> = fc
  .record({
    turns: fc.array(turn, { maxLength: 8 }),
    passages: fc.array(passage, { maxLength: 8 }),
    found: fc.array(fc.nat(7)),
  })
  .map(({ turns, passages, found: foundTurns }) => {
    const said = turns.map((each, nr) => ({ ...each, id: `t${nr + 1}`, seq: nr + 1 })).toReversed();
    const earlier = [...new Set(foundTurns)].flatMap((at) => (said[at] ? [foundTurn(said[at])] : []));
    return {
      turns: said,
      instruction: said.at(-1)?.role === 'system' ? said.at(-1) : undefined,
      found: [...passages.map((each, nr) => found(each.text, { ...each, ordinal: nr + 1 })), ...earlier],
      alike: new Map(),
    };
  });

describe('The context that a model is told', () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer();
  });
  const choose = (given: Partial<Candidates>, budget: number) => chooseContext({ ...nothing, ...given }, budget, tokenizer);

  it('is never over the budget, and costs what the library counts, whatever is said', () => {
    fc.assert(
      fc.property(candidates, fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3000 })), (given, budget) => {
        const items = choose(given, budget);
        const counted = items.map(({ rendered }) => 4 + countTokens(rendered.content, { disallowedSpecial: new Set() }));
        expect(items.map(({ tokens }) => tokens)).toEqual(counted);
        expect(tokensOf(items)).toBeLessThanOrEqual(budget);
        expect(choose(given, budget)).toEqual(items);
        for (const item of items) {
          if (item.kind === 'turn') {
            const whole = given.turns.find(({ id }) => id === item.message.id)!.text;
            expect(whole.startsWith(item.message.text)).toBe(true);
            expect(item.isCut).toBe(item.message.text !== whole);
          }
        }
        const ids = items.map((item) => (item.kind === 'turn' ? item.message.id : item.passage.id));
        expect(new Set(ids).size).toBe(ids.length);
      }),
      { numRuns: 150 },
    );
  });

  it('has the last turn, if there is room for anything', () => {
    fc.assert(
      fc.property(candidates, fc.integer({ min: 60, max: 500 }), (given, budget) => {
        const last = given.turns.find(({ text: said }) => said.trim() !== '');
        const ids = choose(given, budget).flatMap((item) => (item.kind === 'turn' ? [item.message.id] : []));
        if (last && untilEndlessRun(last.text) !== '') expect(ids).toContain(last.id);
      }),
      { numRuns: 50 },
    );
  });

  it('is told in order: the instruction, passages as they stand, turns as they were said', () => {
    const turns = turnsOf(['Be brief.', 'Why is grass green?', 'Chlorophyll.', 'And leaves?']);
    const instruction: Turn = { ...turns[3]!, role: 'system' };
    const items = choose(
      {
        turns: [...turns.slice(0, 3), instruction],
        instruction,
        found: [
          found('Red light is taken.', { startsAt: 90, ordinal: 2, headings: ['Light', 'Red'] }),
          foundTurn(turns[2]!),
          found('Leaves are green.', { startsAt: 0 }),
        ],
      },
      1000,
    );
    expect(contents(items)).toEqual([
      'Be brief.',
      '[A guide, passage 1]\nLeaves are green.',
      '[A guide > Light > Red, passage 2]\nRed light is taken.',
      'Why is grass green?',
      'Chlorophyll.',
      'And leaves?',
    ]);
    expect(items.map(({ rendered }) => rendered.role)).toEqual(['system', ...Array(5).fill('user')]);
    expect(items.map(({ score }) => score)).toEqual([0, 0.01, 0.01, 0.02, 0, 0]);
  });

  it('gives the last turns half of the budget, what was found the other half, and what is left to the turns before', () => {
    const turns = turnsOf(['one '.repeat(20), 'two '.repeat(20), 'three '.repeat(20), 'four '.repeat(20)]);
    const passages = [0, 1, 2, 3].map((nr) => found(`${nr} passage `.repeat(8), { document: nr }));
    const kinds = (items: ContextItem[]) => items.map((item) => (item.kind === 'turn' ? item.message.seq : 'passage'));
    expect(kinds(choose({ turns, found: passages }, 130))).toEqual(['passage', 'passage', 3, 4]);
    expect(kinds(choose({ turns }, 130))).toEqual([1, 2, 3, 4]);
  });

  it('skips what does not fit, and takes a shorter one', () => {
    const items = choose({ found: [found('word '.repeat(500)), found('A short one.', { document: 1 })] }, 60);
    expect(contents(items)).toEqual(['[A guide, passage 1]\nA short one.']);
  });

  it('cuts the last turn if it alone is over, between characters, and says so', () => {
    const family = '👩‍👩‍👧‍👦';
    for (const long of [family.repeat(200), 'long '.repeat(400), '漢字'.repeat(400), 'e\u0301'.repeat(400)]) {
      const [item] = choose({ turns: turnsOf([long]) }, 101);
      expect(item).toMatchObject({ isCut: true, isRecent: true });
      expect(item!.tokens).toBeGreaterThan(80);
      expect(item!.tokens).toBeLessThanOrEqual(101);
      const kept = item!.rendered.content;
      const graphemes = (said: string) => [...new Intl.Segmenter().segment(said)].length;
      expect(long.startsWith(kept)).toBe(true);
      expect(graphemes(kept) + graphemes(long.slice(kept.length))).toBe(graphemes(long));
    }
    expect(choose({ turns: turnsOf(['Hello']) }, 4)).toEqual([]);
  });

  it('says nothing twice: what is in another, nearly the same, or overlaps', () => {
    const [question] = turnsOf(['Are all   leaves\ngreen in summer?']);
    const copy = found('Nearly all leaves are greenish.', { document: 3 });
    const original = found('Nearly all leaves are green-ish.', { document: 4 });
    const idOf = (each: Found) => (each.kind === 'passage' ? each.passage.id : '');
    const items = choose(
      {
        turns: [question!],
        found: [
          found('Chlorophyll takes the red out of the light.'),
          found('takes the red out', { document: 1 }),
          found('leaves green', { document: 2 }),
          found('the light. Grass is green, too.', { startsAt: 33, ordinal: 2 }),
          original,
          copy,
        ],
        alike: new Map([[idOf(copy), new Set([idOf(original)])]]),
      },
      1000,
    );
    expect(contents(items)).toEqual([
      '[A guide, passage 1]\nChlorophyll takes the red out of the light.',
      '[A guide, passage 2]\n Grass is green, too.',
      '[A guide, passage 1]\nNearly all leaves are green-ish.',
      question!.text,
    ]);
  });

  it('ends a text where a run of letters, spaces or signs has no end: counting it would take the square of its length', () => {
    for (const unit of ['a', ' ', '\n', '漢字', '!', '👩‍👩‍👧‍👦', 'x\u0301']) {
      const began = process.cpuUsage();
      const [item] = choose({ turns: turnsOf([`A word, then ${unit.repeat(250_000 / unit.length)}`]) }, 5000);
      expect(item).toMatchObject({ isCut: true });
      expect(item!.rendered.content.length).toBeLessThanOrEqual(1020);
      const { user, system } = process.cpuUsage(began);
      expect((user + system) / 1e6).toBeLessThan(2);
    }
    const [long] = choose({ turns: turnsOf(['two words '.repeat(25_000)]) }, 200_000);
    expect(long).toMatchObject({ isCut: false });
  });
});
