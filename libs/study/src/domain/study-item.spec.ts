import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type { NewReview } from './new-study-item';
import { replay } from './schedule';
import { StudyItem, StudyReview } from './study-item.entity';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const NOW = new Date('2026-11-22T12:00:00.000Z');
const content = { front: 'a', back: { deep: [1, null, 'x'] } };

const newItem = () => StudyItem.create(randomUUID(), { id: randomUUID(), type: 'flashcard', content, tags: ['x'] }, NOW);
const daysAgo = (days: number) => new Date(NOW.getTime() - days * DAY_MS);
const review = (clientReviewId: string, days?: number, rating = 3): NewReview => ({
  clientReviewId,
  rating,
  ...(days !== undefined && { reviewedAt: daysAgo(days) }),
});
/** An item that reviews have come to in this order. */
function reviewed(...reviews: NewReview[]): { item: StudyItem; log: StudyReview[] } {
  const item = newItem();
  const log: StudyReview[] = [];
  for (const given of reviews) log.push(item.review(given, NOW, log));
  return { item, log };
}
const scheduleOf = ({ currentSchedule, progress }: StudyItem) => ({ ...currentSchedule, progress });

describe('StudyItem', () => {
  it('begins new: due at once, known to nobody', () => {
    const item = newItem();
    expect(item).toMatchObject({
      progress: 0,
      lastReviewed: null,
      nextReview: NOW,
      reviewCount: 0,
      createdAt: NOW,
      state: 'new',
    });
    expect(item.scheduling).toEqual({ state: 'new', stability: 0, difficulty: 0, reps: 0, lapses: 0 });
    expect(StudyItem.create(randomUUID(), { id: randomUUID(), type: 'note', content: {} }, NOW).tags).toEqual([]);
  });

  it.each([
    ['the same', {}, true],
    ['the same in another order of keys', { content: { back: content.back, front: 'a' } }, true],
    ['another type', { type: 'note' }, false],
    ['another content', { content: { ...content, front: 'b' } }, false],
    ['another depth', { content: { ...content, back: { deep: [1, null] } } }, false],
    ['more content', { content: { ...content, hint: 'c' } }, false],
    ['other tags', { tags: ['y'] }, false],
    ['no tags', { tags: [] }, false],
    ['tags left out', { tags: undefined }, false],
  ])('knows whether it would be made again by %s', (_, other, same) => {
    expect(newItem().isSame({ type: 'flashcard', content, tags: ['x'], ...other })).toBe(same);
  });

  it('changes what is studied, and not how well it is known', () => {
    const { item } = reviewed(review('a', 1, 4));
    const before = scheduleOf(item);
    item.edit({ type: 'note', content: { markdown: 'x' }, tags: [] });
    expect(item).toMatchObject({ type: 'note', content: { markdown: 'x' }, tags: [] });
    expect(scheduleOf(item)).toEqual(before);
  });

  describe('reviewed', () => {
    it('is scheduled anew, and says so', () => {
      const item = newItem();
      const entry = item.review({ ...review('a', 2, 4), durationMs: 1500 }, NOW);
      expect(entry).toMatchObject({ seq: 1, clientReviewId: 'a', rating: 4, reviewedAt: daysAgo(2), durationMs: 1500, item });
      expect(item).toMatchObject({ state: 'review', reps: 1, reviewCount: 1, lastReviewed: daysAgo(2) });
      expect(item.progress).toBeCloseTo(8.2956 / 21, 5);
      expect(entry.answer).toEqual({
        reviewId: entry.id,
        scheduling: item.scheduling,
        nextReview: item.nextReview.toISOString(),
      });
      expect(newItem().review(review('b'), NOW)).toMatchObject({ reviewedAt: NOW, durationMs: null });
    });

    it('gives the review an id of item and clientReviewId', () => {
      const [one, other] = [newItem(), newItem()];
      const id = one.review(review('a'), NOW).id;
      expect(id).toBe(StudyReview.idOf(one.id, 'a'));
      expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      const ids = [id, one.review(review('b'), NOW).id, one.review(review('a '), NOW).id, other.review(review('a'), NOW).id];
      expect(new Set(ids).size).toBe(4);
    });

    it('takes a clock that is up to 5 minutes ahead', () => {
      const ahead = (ms: number) => ({ ...review('a'), reviewedAt: new Date(NOW.getTime() + ms) });
      expect(newItem().review(ahead(5 * MINUTE_MS), NOW).seq).toBe(1);
      const item = newItem();
      for (const ms of [5 * MINUTE_MS + 1, DAY_MS, Date.parse('9999-12-31') - NOW.getTime()]) {
        expect(() => item.review(ahead(ms), NOW)).toThrow(
          expect.objectContaining({ kind: 'invalid', code: 'REVIEW_IN_FUTURE' }),
        );
      }
      expect(item.reviewCount).toBe(0);
      expect(scheduleOf(item)).toEqual(scheduleOf(newItem()));
    });

    it('is late before the last one only', () => {
      const { item } = reviewed(review('a', 5));
      expect(newItem().isLate(new Date(0))).toBe(false);
      expect([6, 5, 4].map((days) => item.isLate(daysAgo(days)))).toEqual([true, false, false]);
    });

    it('late, has the schedule of the right order', () => {
      const inOrder = reviewed(review('a', 30), review('b', 20, 1), review('c', 10, 4));
      const late = reviewed(review('c', 10, 4), review('a', 30), review('b', 20, 1));
      expect(scheduleOf(late.item)).toEqual(scheduleOf(inOrder.item));
      expect(late.log.map(({ seq }) => seq)).toEqual([1, 2, 3]);
      expect(late.log[2]!.answer).toEqual({
        ...inOrder.log[2]!.answer,
        reviewId: late.log[2]!.id,
      });
    });

    it('at the same moment counts in the order of arrival', () => {
      const { item, log } = reviewed(review('a', 3, 4), review('b', 3, 1));
      expect(scheduleOf(item)).toMatchObject(replay(NOW, log));
      expect(item.state).toBe('relearning');
    });
  });

  describe('undone', () => {
    it('takes back what arrived last, not what was last', () => {
      const { item, log } = reviewed(review('a', 10), review('b', 20, 1));
      expect(item.undo(log, NOW)).toBe(log[1]);
      expect(log.map(({ undoneAt }) => undoneAt)).toEqual([undefined, NOW]);
      expect(scheduleOf(item)).toEqual(scheduleOf(reviewed(review('a', 10)).item));
    });

    it('leaves the count, so that no seq is given twice', () => {
      const { item, log } = reviewed(review('a', 10), review('b', 5));
      item.undo(log, NOW);
      expect(item.review(review('c', 4), NOW).seq).toBe(3);
    });

    it('has an end', () => {
      const { item, log } = reviewed(review('a'));
      item.undo(log, NOW);
      expect(scheduleOf(item)).toEqual(scheduleOf(newItem()));
      expect(() => item.undo([], NOW)).toThrow(expect.objectContaining({ kind: 'conflict', code: 'NOTHING_TO_UNDO' }));
      expect(() => newItem().undo([], NOW)).toThrow(expect.objectContaining({ code: 'NOTHING_TO_UNDO' }));
    });
  });

  it('ST-7 is at every moment what replaying its log gives, and goes back over the same states', () => {
    const arrivals = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 9000 })), { maxLength: 12 });
    fc.assert(
      fc.property(arrivals, (given) => {
        const item = newItem();
        let log: StudyReview[] = [];
        const states = [scheduleOf(item)];
        given.forEach(([rating, days], index) => {
          log.push(item.review(review(`${index}`, days, rating), NOW, log));
          expect(item.currentSchedule).toEqual(replay(NOW, log));
          states.push(scheduleOf(item));
        });
        while (log.length > 0) {
          const undone = item.undo(log, NOW);
          log = log.filter((entry) => entry !== undone);
          states.pop();
          expect(scheduleOf(item)).toEqual(states.at(-1));
        }
      }),
    );
  });
});

describe('StudyReview', () => {
  const { log } = reviewed({ ...review('a', 1), durationMs: 900 });
  it.each<[string, Partial<NewReview>, boolean]>([
    ['the same', { reviewedAt: daysAgo(1), durationMs: 900 }, true],
    ['the time left out', { durationMs: 900 }, true],
    ['the duration left out', { reviewedAt: daysAgo(1) }, true],
    ['another rating', { rating: 4 }, false],
    ['another time', { reviewedAt: daysAgo(2) }, false],
    ['another duration', { durationMs: 901 }, false],
    ['no duration at all', { durationMs: 0 }, false],
  ])('given again with %s', (_, again, same) => {
    expect(log[0]!.isSame({ ...review('a'), ...again })).toBe(same);
  });

  it('given again with a duration that it did not have is another one', () => {
    const [plain] = reviewed(review('a', 1)).log;
    expect(plain!.isSame({ ...review('a', 1), durationMs: 1 })).toBe(false);
    expect(plain!.isSame(review('a', 1))).toBe(true);
  });
});
