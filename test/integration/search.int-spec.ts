import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import {
  ImportDocuments,
  readNewDocument,
  SearchDocuments,
  type DocumentSearch,
  type FoundPassage,
  type SearchResult,
} from '@studently/ai-interactions';
import type { Learner } from '@studently/platform';
import { K, weightsFor } from '../../libs/ai-interactions/src/queries/search/ranking';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

/** Numbers that look random and are the same in every run (Park and Miller's generator). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647 - 0.5;
}

const next = numbers(20_261_122);
const DIMENSIONS = 24;
const vector = () => {
  const all = Array<number>(1536).fill(0);
  for (let at = 0; at < DIMENSIONS; at++) all[at * 61] = Math.fround(next());
  return all;
};
const cosine = (one: number[], other: number[]) => {
  let [dot, a, b] = [0, 0, 0];
  for (let at = 0; at < 1536; at++) {
    dot += one[at]! * other[at]!;
    a += one[at]! ** 2;
    b += other[at]! ** 2;
  }
  return dot / Math.sqrt(a * b);
};
const pick = <T>(from: readonly T[]): T => from[Math.floor((next() + 0.5) * from.length)]!;
const WORDS = 'grass moon river planet engine number theory colour music history'.split(' ');

interface Known {
  id: string;
  type: string;
  metadata: { course: string; year: number };
  content: string;
  embedding: number[];
}
const newKnown = (): Known => ({
  id: randomUUID(),
  type: pick(['text', 'note', 'article']),
  metadata: { course: pick(['biology', 'physics']), year: pick([2024, 2025, 2026]) },
  content: Array.from({ length: 8 }, () => pick(WORDS)).join(' '),
  embedding: vector(),
});

describe('Searching documents', () => {
  let contexts: TestContexts;
  let ada: Learner;
  const known = Array.from({ length: 400 }, newKnown);
  beforeAll(async () => {
    contexts = await TestContexts.start();
    ada = await contexts.newLearner();
    await keep(ada, known);
    await keep(
      await contexts.newLearner(),
      known.map((document) => ({ ...document, id: randomUUID() })),
    );
  });
  afterAll(() => contexts?.stop());
  afterEach(() => jest.restoreAllMocks());

  async function keep(owner: Learner, documents: (Omit<Known, 'embedding'> & { embedding?: number[] })[]): Promise<void> {
    const lines = documents.map((document, nr) => ({ line: nr + 1, value: readNewDocument(document), bytes: 1000 }));
    const taken = await contexts.commands.execute(new ImportDocuments(owner, lines));
    expect(taken.value).toEqual({ accepted: documents.length, rejected: [] });
  }
  const search = async (wanted: DocumentSearch, actor = ada): Promise<SearchResult> =>
    (await contexts.queries.execute(new SearchDocuments(actor, wanted))).value;
  const ids = (items: FoundPassage[]) => items.map(({ document }) => document.id);

  const filters: [name: string, filter: DocumentSearch['filter'], holds: (document: Known) => boolean][] = [
    ['no filter', undefined, () => true],
    ['a type', { type: 'note' }, ({ type }) => type === 'note'],
    ['metadata', { metadata: { course: 'physics' } }, ({ metadata }) => metadata.course === 'physics'],
    [
      'both',
      { type: 'text', metadata: { course: 'biology', year: 2025 } },
      ({ type, metadata }) => type === 'text' && metadata.course === 'biology' && metadata.year === 2025,
    ],
    ['a type that nothing has', { type: 'book' }, () => false],
  ];

  it.each(filters)(
    'AI-9 AI-10 the nearest are those of a brute force, exactly min(k, matches), with %s',
    async (_, filter, holds) => {
      const matches = known.filter(holds);
      for (const k of [1, 7, 100]) {
        const question = vector();
        const expected = matches
          .map((document) => ({ id: document.id, similarity: cosine(question, document.embedding) }))
          .sort((one, other) => other.similarity - one.similarity)
          .slice(0, k);
        const { items, meta } = await search({ vector: question, k, filter });
        expect(ids(items)).toEqual(expected.map(({ id }) => id));
        items.forEach(({ score }, nr) => expect(score).toBeCloseTo(expected[nr]!.similarity, 5));
        expect(meta).toMatchObject({ estimatedMatches: matches.length });
      }
    },
  );

  it.each(filters)('by words those are found that have one of them, in any form, with %s', async (_, filter, holds) => {
    const { items, meta } = await search({ text: 'planets or Engines', mode: 'text', k: 100, filter });
    const matches = known.filter(holds).filter(({ content }) => /planet|engine/.test(content));
    expect(meta.estimatedMatches).toBe(matches.length);
    expect(items).toHaveLength(Math.min(100, matches.length));
    const contents = new Map(matches.map(({ id, content }) => [id, content]));
    for (const id of ids(items)) expect(contents.has(id)).toBe(true);
    expect(new Set(ids(items)).size).toBe(items.length);
    const both = items.filter(({ passage }) => /planet/.test(passage.text) && /engine/.test(passage.text));
    expect(items.slice(0, both.length).every((item) => both.includes(item))).toBe(true); // both words go before one
  });

  describe('that the local model has embedded', () => {
    let ben: Learner;
    let embedded: Known[];
    const supplied = newKnown();
    beforeAll(async () => {
      ben = await contexts.newLearner();
      embedded = Array.from({ length: 60 }, newKnown);
      const byContent = new Map(embedded.map(({ content, embedding }) => [content, embedding]));
      const local = contexts.localModel();
      const pretended = jest
        .spyOn(local, 'embedPassages')
        .mockImplementation(async (texts) => texts.map((text) => byContent.get(text)));
      await keep(
        ben,
        embedded.map(({ embedding: _, ...document }) => document),
      );
      await keep(ben, [supplied]);
      await until(async () => (await search({ vector: vector(), k: 100 }, ben)).meta.estimatedMatches === 61);
      pretended.mockRestore();
    });

    it('a text is compared with what the same model has made, a vector with everything', async () => {
      jest.spyOn(contexts.localModel(), 'embedQuestion').mockResolvedValue(supplied.embedding);
      const byText = await search({ text: 'x', mode: 'vector', k: 100 }, ben);
      expect(byText.meta.estimatedMatches).toBe(60);
      expect(ids(byText.items)).not.toContain(supplied.id);
      const byVector = await search({ vector: supplied.embedding, k: 100 }, ben);
      expect(byVector.meta.estimatedMatches).toBe(61);
      expect(byVector.items[0]).toMatchObject({ document: { id: supplied.id }, score: expect.closeTo(1, 5) });
    });

    it('meaning and words together are their reciprocal ranks, summed, each by its weight', async () => {
      const meaning = vector();
      jest.spyOn(contexts.localModel(), 'embedQuestion').mockResolvedValue(meaning);
      const text = 'moon and music';
      const [hybrid, near, words] = await Promise.all(
        (['hybrid', 'vector', 'text'] as const).map((mode) => search({ text, mode, k: 100 }, ben)),
      );
      const sums = new Map<string, number>();
      const weights = weightsFor(2);
      for (const [weight, { items }] of [
        [weights.byMeaning, near!],
        [weights.byWords, words!],
      ] as const) {
        for (const { passage, score } of items) {
          const rank = items.filter((item) => item.score > score).length + 1;
          sums.set(passage.id, (sums.get(passage.id) ?? 0) + weight / (K + rank));
        }
      }
      expect(words!.items.length).toBeGreaterThan(5);
      expect(hybrid!.items).toHaveLength(sums.size);
      for (const { passage, score } of hybrid!.items) expect(score).toBeCloseTo(sums.get(passage.id)!, 9);
      const scores = hybrid!.items.map(({ score }) => score);
      expect(scores).toEqual(scores.toSorted((one, other) => other - one));
      expect((await search({ text, k: 9 }, ben)).items).toEqual(hybrid!.items.slice(0, 9));
      expect(hybrid!.meta.strategy).toBe('exact+text');
    });

    it('what ties comes in the same order every time', async () => {
      const same = newKnown();
      const cara = await contexts.newLearner();
      await keep(
        cara,
        Array.from({ length: 20 }, () => ({ ...same, id: randomUUID() })),
      );
      const first = await search({ vector: same.embedding, k: 20 }, cara);
      expect(ids(first.items)).toEqual(ids(first.items).toSorted());
      await sql(contexts.database.adminUrl, `update document_passages set document_id = document_id where user_id = $1`, [
        cara.userId,
      ]);
      expect((await search({ vector: same.embedding, k: 20 }, cara)).items).toEqual(first.items);
      expect(ids((await search({ vector: same.embedding, k: 5 }, cara)).items)).toEqual(ids(first.items).slice(0, 5));
    });

    it('by words a search needs no model', async () => {
      const embed = jest.spyOn(contexts.localModel(), 'embedQuestion');
      await search({ text: 'moon', mode: 'text', k: 5 }, ben);
      expect(embed).not.toHaveBeenCalled();
    });
  });

  describe('for people', () => {
    let dora: Learner;
    const document = (fields: Partial<Known> & { title?: string; metadata?: object }) =>
      ({ ...newKnown(), ...fields }) as Known;
    beforeAll(async () => {
      dora = await contexts.newLearner();
    });

    it.each<[string, DocumentSearch['filter'], (document: Known) => boolean]>([
      ['one of some types', { type: { $in: ['note', 'text'] } }, ({ type }) => type !== 'article'],
      ['a range', { metadata: { year: { $gt: 2024, $lte: 2025 } } }, ({ metadata }) => metadata.year === 2025],
      ['one of some values', { metadata: { year: { $in: [2024, 2026] } } }, ({ metadata }) => metadata.year !== 2025],
      ['not being there', { metadata: { year: { $exists: false } } }, () => false],
      [
        'all of them',
        { type: 'note', metadata: { course: 'physics', year: { $gte: 2025 } } },
        ({ type, metadata }) => type === 'note' && metadata.course === 'physics' && metadata.year >= 2025,
      ],
    ])('AI-10 a filter is %s', async (_, filter, holds) => {
      const matches = known.filter(holds);
      const { items, meta } = await search({ vector: vector(), k: 100, filter });
      expect(meta.estimatedMatches).toBe(matches.length);
      expect(items).toHaveLength(Math.min(100, matches.length));
      const right = new Set(matches.map(({ id }) => id));
      for (const id of ids(items)) expect(right.has(id)).toBe(true);
    });

    it.each(['vector', 'text', 'hybrid'] as const)(
      'a cursor goes on without a repetition, whatever is added meanwhile: %s',
      async (mode) => {
        jest.spyOn(contexts.localModel(), 'embedQuestion').mockResolvedValue(known[0]!.embedding);
        const wanted = { text: 'moon river', vector: known[0]!.embedding, mode, k: 20 };
        const seen: string[] = [];
        for (let page = await search(wanted); ; page = await search({ ...wanted, cursor: page.nextCursor })) {
          seen.push(...page.items.map(({ passage }) => passage.id));
          await keep(ada, [document({ content: 'moon river', embedding: known[0]!.embedding })]);
          if (page.nextCursor === null || seen.length >= 100) break;
        }
        expect(seen.length).toBeGreaterThan(80);
        expect(new Set(seen).size).toBe(seen.length);
      },
    );

    it('words are highlighted, in any of their forms', async () => {
      const content = 'Planets 🌙 move; a planet’s moons move, too.';
      await keep(dora, [document({ content })]);
      const { items } = await search({ text: 'planet moon', mode: 'text', k: 1 }, dora);
      const { text, highlights } = items[0]!.passage;
      expect(highlights!.map(({ startsAt, endsAt }) => text.slice(startsAt, endsAt))).toEqual(['Planets', 'planet', 'moons']);
    });

    it('a title is found, misspelt as well', async () => {
      const titled = { ...document({ content: 'Of something else.' }), title: 'Photosynthesis' };
      await keep(dora, [titled]);
      for (const text of ['photosynthesis', 'fotosynthesis', 'what is photosynthesis']) {
        expect(ids((await search({ text, mode: 'text', k: 5 }, dora)).items)).toContain(titled.id);
      }
    });

    it('what is nearly the same as a better one comes after all others, and is not lost', async () => {
      const eve = await contexts.newLearner();
      const [first, other] = [vector(), vector()];
      const nearly = first.map((element) => Math.fround(element * 1.0001));
      const copies = [first, nearly, nearly].map((embedding) => document({ content: 'tide tables', embedding }));
      const different = document({ content: 'a tide', embedding: other });
      await keep(eve, [...copies, different]);
      const { items } = await search({ text: 'tide tables', vector: first, k: 4 }, eve);
      expect(ids(items)).toHaveLength(4);
      expect(ids(items)[1]).toBe(different.id);
      const pages: string[] = [];
      for (let cursor: string | undefined; pages.length < 4;) {
        const page = await search({ text: 'tide tables', vector: first, k: 1, cursor }, eve);
        pages.push(...ids(page.items));
        cursor = page.nextCursor!;
      }
      expect(pages).toEqual(ids(items)); // on the second page there is none that is like that of the first
    });
  });

  it("SEC-2 nobody's passages but one's own are searched, whatever is asked", async () => {
    const nobody = await contexts.newLearner();
    for (const wanted of [
      { vector: known[0]!.embedding },
      { text: WORDS.join(' ') },
      { text: 'moon', mode: 'text' as const },
    ]) {
      expect(await search({ ...wanted, k: 100 }, nobody)).toMatchObject({ items: [], meta: { estimatedMatches: 0 } });
    }
    const own = new Set(known.map(({ id }) => id));
    const found = ids((await search({ text: WORDS.join(' '), mode: 'text', k: 100 })).items);
    expect(found).toHaveLength(100);
    expect(found.filter((id) => !own.has(id))).toEqual([]);
  });

  it('whatever is typed is a question', async () => {
    const typed = fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1 }),
      fc.string({
        unit: fc.constantFrom(
          "'",
          '"',
          '\\',
          '&',
          '|',
          '!',
          '<->',
          '(',
          ')',
          ':',
          '*',
          ' ',
          'moon',
          'a-b',
          'x@y.org',
          '/p?q&r',
        ),
        minLength: 1,
      }),
    );
    await fc.assert(
      fc.asyncProperty(typed, async (text) => {
        const { items, meta } = await search({ text: text.replaceAll('\0', '') || 'x', mode: 'text', k: 100 });
        expect(items).toHaveLength(Math.min(100, meta.estimatedMatches));
      }),
      { numRuns: 200 },
    );
    expect((await search({ text: "moon' | !& \\", mode: 'text', k: 1 })).items).toHaveLength(1);
  });

  it('AI-8 any mebibyte can be one passage, however many words are in it', async () => {
    const cara = await contexts.newLearner();
    const fill = (word: (nr: number) => string, bytes = 2 ** 20) => {
      let content = '';
      let length = 0;
      for (let nr = 0; ; nr++) {
        const next = word(nr);
        length += Buffer.byteLength(next);
        if (length > bytes) return content;
        content += next;
      }
    };
    const letters = (nr: number) =>
      [...nr.toString(26).padStart(4, '0')].map((digit) => String.fromCodePoint(0x1d400 + parseInt(digit, 26))).join('');
    const contents = [
      fill((nr) => `${nr.toString(36)} `),
      fill((nr) => `${letters(nr)} `),
      fill((nr) => `${letters(nr)}-${letters(nr + 7)} `),
      fill((nr) => `www.a${nr}.org/b${nr}?c=d `),
      fill((nr) => `${nr}-a${nr}-b${nr}_`),
      'x'.repeat(2 ** 20),
      'a_'.repeat(2 ** 19),
    ];
    await keep(
      cara,
      contents.map((content) => ({ ...newKnown(), content })),
    );
    const roomless = fill((nr) => `${String.fromCodePoint((nr < 20_000 ? 0x4e00 : 0x20000) + nr)} `); // for so many a tsvector has no room
    await keep(cara, [{ ...newKnown(), content: roomless }]);
    const { items } = await search({ vector: vector(), k: 10 }, cara);
    expect(items).toHaveLength(contents.length + 1);
    expect(Math.max(...items.map(({ passage }) => [...passage.text].length))).toBe(10_000);
  });

  it('SEC-2 a forged passage of a document of somebody else cannot be', async () => {
    const forger = await contexts.newLearner();
    await expect(
      sql(
        contexts.database.url,
        `insert into document_passages (user_id, document_id, ordinal, content, starts_at) values ($1, $2, 9, 'x', 0)`,
        [forger.userId, known[0]!.id],
        { role: 'studently_app', userId: forger.userId },
      ),
    ).rejects.toMatchObject({ code: '23503' });
  });
});
