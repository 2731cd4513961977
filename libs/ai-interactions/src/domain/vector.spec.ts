import fc from 'fast-check';
import { EMBEDDING_DIMENSIONS, normalisedMean, padded, readVector, vectorText } from './vector';

const number = fc.double({ min: -1e3, max: 1e3, noNaN: true });
const vector = fc.array(number, { minLength: 8, maxLength: 8 }).filter((elements) => Math.hypot(...elements) > 1e-3);
const cosine = (a: number[], b: number[]) =>
  a.reduce((sum, element, at) => sum + element * b[at]!, 0) / (Math.hypot(...a) * Math.hypot(...b));

describe('Vectors', () => {
  it('AI-9 come out of their text as the same numbers of 32 bits', () => {
    fc.assert(
      fc.property(vector, (elements) => {
        const read = JSON.parse(vectorText(elements)) as number[];
        expect(read.every((element, at) => Math.fround(element) === Math.fround(elements[at]!))).toBe(true);
      }),
    );
  });

  it('keep their angles when zeros are put behind them', () => {
    fc.assert(
      fc.property(vector, vector, (one, other) => {
        expect(padded(one)).toHaveLength(EMBEDDING_DIMENSIONS);
        expect(cosine(padded(one), padded(other))).toBeCloseTo(cosine(one, other), 9);
      }),
    );
  });

  it('have a mean of length 1', () => {
    expect(normalisedMean([[3, 4]])).toEqual([0.6, 0.8]);
    expect(
      normalisedMean([
        [1, 0],
        [0, 1],
      ]),
    ).toEqual([Math.SQRT1_2, Math.SQRT1_2].map((it) => expect.closeTo(it, 12)));
  });

  it('AI-4 are refused where their length could not be compared', () => {
    const of = (element: number) => padded([element]);
    for (const usable of [1, -1, 1e-14, 1e14]) expect(readVector(of(usable), 'vector')).toEqual(of(usable));
    for (const unusable of [0, -0, 1e-16, 1e16, 1e38, 5e-324]) {
      expect(() => readVector(of(unusable), 'vector')).toThrow(expect.objectContaining({ code: 'VECTOR_INVALID' }));
    }
  });
});
