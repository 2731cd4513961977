import { fused, tune } from './fusion';
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

describe('Tuning', () => {
  const asked = (text: string, by: 'text' | 'vector'): Asked => ({
    text,
    relevant: ['r'],
    found: { text: ranking('x1'), vector: ranking('y1'), hybrid: [], [by]: ranking('r1') },
  });
  const many = (words: string, by: 'text' | 'vector') => Array.from({ length: 20 }, (_, nr) => asked(`${words} ${nr}`, by));

  it('leans to what finds it, for each length by itself', () => {
    const sets = [
      { set: 'one', documents: 3, passages: 3, asked: [...many('word', 'text'), ...many('a b c d e f g', 'vector')] },
    ];
    const tuned = tune(sets).lengths;
    expect(tuned.map(({ length, text, vector, best }) => [length, text, vector, best])).toEqual([
      ['short', 1, 0, 1],
      ['long', 0, 1, 1],
    ]);
    expect(tuned[0]!.share).toBeGreaterThan(0.5);
    expect(tuned[1]!.share).toBeLessThan(0.5);
  });
});
