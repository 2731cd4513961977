import { broken, judge } from './judge';
import type { Asked, Rankings } from './rankings';

const found = (place: number) =>
  Array.from({ length: 10 }, (_, index) => ({ passage: `${index}`, document: index + 1 === place ? 'right' : `${index}` }));

/** Twenty questions whose right document stands where it is said. */
const set = (text: number, vector: number, hybrid: number): Rankings => ({
  set: 'invented',
  documents: 10,
  passages: 10,
  asked: Array.from({ length: 20 }, (_, nr): Asked => ({
    text: `question ${nr}`,
    words: 1,
    relevant: ['right'],
    found: { text: found(text), vector: found(vector), hybrid: found(hybrid) },
  })),
});

describe('The judgment of a set', () => {
  it('has the measures of each method', () => {
    const { lines, better } = judge(set(1, 3, 2));
    expect(lines.map(({ method, mrr, ndcgAt10, queries }) => [method, mrr, ndcgAt10, queries])).toEqual([
      ['text', 1, 1, 20],
      ['vector', expect.closeTo(1 / 3, 9), 0.5, 20],
      ['hybrid', 0.5, expect.closeTo(0.63093, 5), 20],
    ]);
    expect(better).toBe('text');
  });

  it('breaks the promise where hybrid is below the better part anywhere, or above it nowhere', () => {
    const [above, same, below] = [judge(set(2, 3, 1)), judge(set(1, 3, 1)), judge(set(3, 1, 2))];
    expect(broken([above, same])).toEqual([]);
    expect(broken([above, below])).toEqual(['On invented, hybrid is below vector beyond chance.']);
    expect(broken([same])).toEqual(['On no set is hybrid above the better of its parts beyond chance.']);
    expect(broken([same], { onSomeSet: false })).toEqual([]);
  });
});
