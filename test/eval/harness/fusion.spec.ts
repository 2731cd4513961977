import { fused, lengthOf, tune } from './fusion';
import type { Asked } from './rankings';

const ranking = (...names: string[]) => names.map((name) => ({ passage: name, document: name.slice(0, 1) }));
const namesOf = (found: { passage: string }[]) => found.map(({ passage }) => passage);

describe('Reciprocal rank fusion', () => {
  const found = { text: ranking('a1', 'b1', 'c1'), vector: ranking('b1', 'd1', 'a1') };

  it('is one of its parts at either end', () => {
    expect(namesOf(fused(found, 1))).toEqual(['a1', 'b1', 'c1']);
    expect(namesOf(fused(found, 0))).toEqual(['b1', 'd1', 'a1']);
  });

  it('puts what both find before what one finds', () => {
    // b1: 1/62 + 1/61, a1: 1/61 + 1/63, d1: 1/62, c1: 1/63, halved
    expect(namesOf(fused(found, 0.5))).toEqual(['b1', 'a1', 'd1', 'c1']);
  });
});

describe('The length of a question', () => {
  it('is how many words of it count', () => {
    expect([0, 2, 3, 6, 7].map((words) => lengthOf({ words }))).toEqual(['short', 'short', 'medium', 'medium', 'long']);
  });
});

describe('Tuning', () => {
  const asked = (text: string, words: number, by: 'text' | 'vector'): Asked => ({
    text,
    words,
    relevant: ['r'],
    found: { text: ranking('x1'), vector: ranking('y1'), hybrid: [], [by]: ranking('r1') },
  });
  const many = (words: number, by: 'text' | 'vector') =>
    Array.from({ length: 20 }, (_, nr) => asked(`${words} words, ${nr}`, words, by));

  it('leans to what finds it, for each length by itself', () => {
    const sets = [{ set: 'one', documents: 3, passages: 3, asked: [...many(1, 'text'), ...many(8, 'vector')] }];
    const tuned = tune(sets).lengths;
    expect(tuned.map(({ length, text, vector, best }) => [length, text, vector, best])).toEqual([
      ['short', 1, 0, 1],
      ['long', 0, 1, 1],
    ]);
    expect(tuned[0]!.share).toBeGreaterThan(0.5);
    expect(tuned[1]!.share).toBeLessThan(0.5);
  });
});
