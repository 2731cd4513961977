import { scoresOf } from './metrics';

const ten = (place: number) => Array.from({ length: 10 }, (_, index) => (index + 1 === place ? 'right' : `wrong ${index}`));

describe('The measures of a ranking', () => {
  it('are 1 where the right document is first', () => {
    expect(scoresOf(['right', 'wrong'], ['right'])).toEqual({ hit: 1, reciprocalRank: 1, ndcg: 1 });
  });

  it('are less, the later it comes', () => {
    expect(scoresOf(ten(2), ['right'])).toEqual({ hit: 1, reciprocalRank: 0.5, ndcg: expect.closeTo(0.63093, 5) }); // 1/log2(3)
    expect(scoresOf(ten(7), ['right'])).toEqual({ hit: 1, reciprocalRank: 1 / 7, ndcg: expect.closeTo(1 / 3, 12) }); // 1/log2(8)
  });

  it('are 0 where it is not among the first ten, or nothing is found', () => {
    const nothing = { hit: 0, reciprocalRank: 0, ndcg: 0 };
    expect(scoresOf([...ten(0), 'right'], ['right'])).toEqual(nothing);
    expect(scoresOf([], ['right'])).toEqual(nothing);
  });

  it('count every right document: two of three, at the places 1 and 3', () => {
    const { hit, reciprocalRank, ndcg } = scoresOf(['a', 'x', 'b', 'y'], ['a', 'b', 'c']);
    expect([hit, reciprocalRank]).toEqual([1, 1]);
    expect(ndcg).toBeCloseTo((1 + 0.5) / (1 + 0.63093 + 0.5), 5);
  });

  it('are 1 where more documents are right than are looked at, and all that are looked at are', () => {
    const right = Array.from({ length: 12 }, (_, index) => `right ${index}`);
    expect(scoresOf(right, right).ndcg).toBeCloseTo(1, 12);
  });
});
