import { createEmptyCard, fsrs, generatorParameters, type Card } from 'ts-fsrs';
import { simulateReviews } from './simulated-reviews';

const NOW = new Date('2026-03-01T18:00:00Z');
const DAY = 24 * 60 * 60 * 1000;
const deck = (cards: number, newADay: number) =>
  Array.from({ length: cards }, (_, index) => simulateReviews(index, newADay, NOW));

describe('simulated reviews', () => {
  it('are the same at every call', () => {
    expect(deck(50, 25)).toEqual(deck(50, 25));
  });

  it('lie in the last four weeks, in order, with ratings that somebody could have given', () => {
    for (const reviews of deck(1000, 25)) {
      expect(new Set(reviews.map(({ clientReviewId }) => clientReviewId)).size).toBe(reviews.length);
      const times = reviews.map(({ reviewedAt }) => reviewedAt.getTime());
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      for (const at of times) expect(at >= NOW.getTime() - 28 * DAY && at < NOW.getTime()).toBe(true);
      for (const { rating } of reviews) expect([1, 2, 3, 4]).toContain(rating);
    }
  });

  it('leave some cards new and some due, and show a learner who remembers most', () => {
    const cards = deck(1000, 25);
    const reviewed = cards.filter((reviews) => reviews.length > 0);
    expect(reviewed.length).toBeGreaterThan(500);
    expect(reviewed.length).toBeLessThan(800);
    const scheduler = fsrs(generatorParameters({ enable_fuzz: false }));
    const due = reviewed.filter((reviews) => {
      const card = reviews.reduce<Card>(
        (state, { rating, reviewedAt }) => scheduler.next(state, reviewedAt, rating).card,
        createEmptyCard(NOW),
      );
      return card.due <= NOW;
    });
    expect(due.length).toBeGreaterThan(20);
    expect(due.length).toBeLessThan(200);
    const later = reviewed.flatMap((reviews) => reviews.slice(2));
    const remembered = later.filter(({ rating }) => rating > 1).length / later.length;
    expect(remembered).toBeGreaterThan(0.8);
    expect(remembered).toBeLessThan(0.97);
  });
});
