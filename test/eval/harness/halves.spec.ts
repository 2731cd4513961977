import { halvesOf } from './halves';

const questions = Array.from({ length: 1000 }, (_, nr) => ({ text: `question ${nr}` }));

describe('The halves of a set', () => {
  const { tuning, reported } = halvesOf(questions);

  it('have every question once, about as many each', () => {
    expect(new Set([...tuning, ...reported]).size).toBe(1000);
    expect(tuning.length + reported.length).toBe(1000);
    expect(Math.abs(tuning.length - 500)).toBeLessThan(50);
  });

  it('are the same whatever else is asked, and in whichever order', () => {
    const some = questions.filter((_, nr) => nr % 3 === 0).reverse();
    expect(new Set(halvesOf(some).tuning)).toEqual(new Set(tuning.filter((question) => some.includes(question))));
  });
});
