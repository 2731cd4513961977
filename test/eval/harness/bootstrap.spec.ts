import { bootstrap, differenceOf, isAbove, isBelow } from './bootstrap';

const repeated = (values: number[], times: number) => Array.from({ length: times }, () => values).flat();

describe('The bootstrap', () => {
  it('finds the interval that theory has for a share of hits, and finds it again', () => {
    const hits = repeated([1, 1, 1, 0], 25); // 0.75 ± 1.96 · √(0.75 · 0.25 / 100)
    const [from, to] = bootstrap(hits);
    expect(from).toBeCloseTo(0.665, 1);
    expect(to).toBeCloseTo(0.835, 1);
    expect(bootstrap(hits)).toEqual([from, to]);
  });

  it('leaves no doubt where all values are the same', () => {
    expect(bootstrap([0.5, 0.5, 0.5])).toEqual([0.5, 0.5]);
  });

  it('says of paired values which are better, or that it cannot tell', () => {
    const good = repeated([0.9, 0.4], 50);
    const better = good.map((value, index) => value + (index % 3 === 0 ? 0.1 : 0));
    expect([isAbove(differenceOf(better, good)), isBelow(differenceOf(better, good))]).toEqual([true, false]);
    expect([isAbove(differenceOf(good, better)), isBelow(differenceOf(good, better))]).toEqual([false, true]);
    const other = good.map((value, index) => value + (index % 2 === 0 ? 0.1 : -0.1));
    expect([isAbove(differenceOf(other, good)), isBelow(differenceOf(other, good))]).toEqual([false, false]);
    expect(differenceOf(better, good).mean).toBeCloseTo(0.034, 6);
  });
});
