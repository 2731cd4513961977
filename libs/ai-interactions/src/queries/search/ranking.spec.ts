import { fuse, K, weightsFor, type RankedPassage, type Weights } from './ranking';

const ranking = (...ids: string[]): RankedPassage[] =>
  ids.map((id, nr) => ({ passageId: id, documentId: id[0]!, score: 1 / (nr + 1), rank: nr + 1 }));
const even = { byMeaning: 1, byWords: 1, byTitle: 1 };
const ids = (fused: { passageId: string }[]) => fused.map(({ passageId }) => passageId);

describe('Rankings', () => {
  it('are fused by the sum of reciprocal ranks', () => {
    const fused = fuse({ byMeaning: ranking('a1', 'b1'), byWords: ranking('b1', 'c1'), byTitle: [] }, { ...even, byWords: 2 });
    expect(fused).toEqual([
      { passageId: 'b1', documentId: 'b', score: 1 / (K + 2) + 2 / (K + 1) },
      { passageId: 'c1', documentId: 'c', score: 2 / (K + 2) },
      { passageId: 'a1', documentId: 'a', score: 1 / (K + 1) },
    ]);
  });

  it('tie in the order of ids', () => {
    expect(ids(fuse({ byMeaning: ranking('b1', 'a1'), byWords: ranking('a1', 'b1'), byTitle: [] }, even))).toEqual([
      'a1',
      'b1',
    ]);
  });

  it('a title speaks for the best passage of its document, or for the first', () => {
    const titled = (id: string) => ({ ...ranking(id)[0]!, score: 0.8 });
    const known = { byMeaning: ranking('b1', 'a2', 'a3'), byWords: [] };
    expect(fuse({ ...known, byTitle: [titled('a1')] }, even)[0]).toEqual({
      passageId: 'a2',
      documentId: 'a',
      score: 1 / (K + 2) + 1 / (K + 1),
    });
    expect(ids(fuse({ ...known, byTitle: [titled('c1')] }, even))).toContain('c1');
  });

  it('words count more, the fewer there are; titles are for few words alone', () => {
    const shareOfWords = ({ byMeaning, byWords }: Weights) => byWords / (byMeaning + byWords);
    expect(shareOfWords(weightsFor(1))).toBeGreaterThan(shareOfWords(weightsFor(9)));
    const titled = { byMeaning: [], byWords: [], byTitle: ranking('a1') };
    expect(fuse(titled, weightsFor(2))).toHaveLength(1);
    expect(fuse(titled, weightsFor(3))).toEqual([]);
  });
});
