import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type { BulkLine, Learner, LinesTaken } from '@studently/platform';
import {
  AddStudyItem,
  ChangeStudyItem,
  DeleteStudyItem,
  GetStudyItem,
  ImportStudyItems,
  ListReviews,
  ListStudyItems,
  ReviewItem,
  UndoReview,
  type ImportedStudyItem,
  type NewReview,
  type NewStudyItem,
} from '@studently/study';
import { maturityOf, replay } from '../../libs/study/src/domain/schedule';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const NOW = new Date('2026-11-22T12:00:00.000Z');
const ago = (ms: number) => new Date(NOW.getTime() - ms);
const flashcard = (front = 'front', back = 'back') => ({ type: 'flashcard', content: { front, back } });

describe('Study', () => {
  let contexts: TestContexts;
  let ada: Learner;
  const execute: TestContexts['commands']['execute'] = (command: never) => contexts.commands.execute(command);
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);

  beforeAll(async () => {
    contexts = await TestContexts.start();
  });
  afterAll(() => contexts?.stop());
  beforeEach(async () => {
    ada = await contexts.newLearner();
  });

  const add = async (item: Partial<NewStudyItem> = {}, owner = ada) => {
    const id = item.id ?? randomUUID();
    return { id, added: await execute(new AddStudyItem(owner, { ...flashcard(), ...item, id }, NOW)) };
  };
  const review = (id: string, given: Partial<NewReview> = {}, owner = ada) =>
    execute(new ReviewItem(owner, id, { clientReviewId: randomUUID(), rating: 3, ...given }, NOW));
  const view = (id: string, readToken?: string) => contexts.queries.execute(new GetStudyItem(ada, id, readToken));
  const log = async (id: string) => (await contexts.queries.execute(new ListReviews(ada, id, { limit: 200 }))).value.items;
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      (error: { code?: string }) => error.code ?? error,
    );
  const audited = async () =>
    (await rows<{ action: string }>('select action from audit_events where learner_id = $1 order by id', [ada.userId]))
      .map(({ action }) => action)
      .filter((action) => action.startsWith('study-item.'));

  /** What a log makes of an item, as the view shows it. */
  function scheduleIn(counted: { rating: number; reviewedAt: Date; seq: number }[]) {
    const schedule = replay(NOW, counted);
    const { state, stability, difficulty, reps, lapses, lastReviewed, nextReview } = schedule;
    return {
      progress: maturityOf(schedule),
      lastReviewed: lastReviewed?.toISOString() ?? null,
      nextReview: nextReview.toISOString(),
      scheduling: { state, stability, difficulty, reps, lapses },
    };
  }

  describe('ST-7 whatever happens to an item', () => {
    const rating = fc.integer({ min: 1, max: 4 });
    const pick = fc.nat({ max: 50 });
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ what: fc.constant('review' as const), rating, ms: fc.nat({ max: 400 * DAY_MS }) }) },
      { weight: 2, arbitrary: fc.record({ what: fc.constant('review' as const), rating, ms: fc.nat({ max: 3 }) }) },
      { weight: 2, arbitrary: fc.record({ what: fc.constant('again' as const), pick }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('other body' as const), pick }) },
      { weight: 4, arbitrary: fc.record({ what: fc.constant('undo' as const) }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('change' as const), front: fc.constantFrom('a', 'b') }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('future' as const) }) },
    );

    it('it is what its log makes of it, and undo brings back the same bytes', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
          const { id, added } = await add();
          const given: { review: NewReview & { reviewedAt: Date }; seq: number; answer: string; undone: boolean }[] = [];
          const counting = () => given.filter(({ undone }) => !undone);
          let content = flashcard().content;
          let version = 1;
          let effects = 1;
          let now = textOf(added);
          /** What could be seen before each review that counts; undefined where something else has changed it since. */
          let before: (typeof now | undefined)[] = [];

          /** @returns the read token of what was done */
          const take = async (at: (typeof steps)[number]): Promise<string | undefined> => {
            const earlier = 'pick' in at && given.length > 0 ? given[at.pick % given.length] : undefined;
            if (at.what === 'review') {
              const taken = {
                ...{ clientReviewId: `${given.length}`, rating: at.rating },
                ...{ reviewedAt: ago(at.ms), durationMs: at.ms % 999 },
              };
              const answer = await review(id, taken);
              expect(answer.existed).toBe(false);
              given.push({ review: taken, seq: given.length + 1, answer: answer.json.toString(), undone: false });
              before.push(now);
              effects += 1;
              return answer.readToken;
            }
            if (at.what === 'again' && earlier) {
              const answer = await review(id, earlier.review);
              expect([answer.existed, answer.json]).toEqual([true, earlier.answer]);
            }
            if (at.what === 'other body' && earlier) {
              const rating = (earlier.review.rating % 4) + 1;
              expect(await codeOf(review(id, { ...earlier.review, rating }))).toBe('ID_TAKEN');
            }
            if (at.what === 'future') {
              expect(await codeOf(review(id, { reviewedAt: ago(-6 * MINUTE_MS) }))).toBe('REVIEW_IN_FUTURE');
            }
            if (at.what === 'undo') {
              const last = counting().at(-1);
              if (!last) expect(await codeOf(execute(new UndoReview(ada, id, NOW)))).toBe('NOTHING_TO_UNDO');
              else {
                const undone = await execute(new UndoReview(ada, id, NOW));
                last.undone = true;
                effects += 1;
                const then = before.pop();
                if (then) expect(textOf(undone)).toEqual(then);
                return undone.readToken;
              }
            }
            if (at.what === 'change') {
              const changed = await execute(new ChangeStudyItem(ada, id, { content: { ...content, front: at.front } }));
              effects += 1;
              if (content.front === at.front) expect(textOf(changed)).toEqual(now);
              else {
                version += 1;
                before = before.map(() => undefined);
              }
              content = { ...content, front: at.front };
              return changed.readToken;
            }
            return undefined;
          };

          for (const at of steps) {
            const seen = await view(id, await take(at));
            now = textOf(seen);
            expect(seen.value).toEqual({
              ...{ id, type: 'flashcard', content, tags: [], version, createdAt: NOW.toISOString() },
              ...scheduleIn(counting().map(({ review: { rating, reviewedAt }, seq }) => ({ rating, reviewedAt, seq }))),
            });
          }

          const entries = await log(id);
          expect(entries.map(({ clientReviewId, undoneAt }) => [clientReviewId, undoneAt !== null]).sort()).toEqual(
            given.map(({ review: { clientReviewId }, undone }) => [clientReviewId, undone]).sort(),
          );
          expect(
            await rows('select 1 from audit_events where learner_id = $1 and subject_id = $2', [ada.userId, id]),
          ).toHaveLength(effects);
        }),
        { numRuns: 25 },
      );
    }, 120_000);

    it('two reviews at the same moment both count', async () => {
      const { id } = await add();
      for (let round = 0; round < 5; round++) {
        await Promise.all([
          review(id, { rating: 3, reviewedAt: ago(round) }),
          review(id, { rating: 4, reviewedAt: ago(DAY_MS) }),
        ]);
      }
      const counted = await rows<{ rating: number; reviewedAt: Date; seq: number }>(
        'select rating, reviewed_at as "reviewedAt", seq from study_reviews where item_id = $1 order by seq',
        [id],
      );
      expect(counted.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect((await view(id)).value).toMatchObject(scheduleIn(counted));
    });

    it('of twenty that send the same review at once, all are told the same, and it counts once', async () => {
      const { id } = await add();
      const same = { clientReviewId: 'once', rating: 4, reviewedAt: ago(DAY_MS), durationMs: 1 };
      const answers = await Promise.all(Array.from({ length: 20 }, () => review(id, same)));
      expect(new Set(answers.map(({ json }) => json)).size).toBe(1);
      expect(answers.filter(({ existed }) => !existed)).toHaveLength(1);
      expect(await log(id)).toHaveLength(1);
      expect(await audited()).toEqual(['study-item.added', 'study-item.reviewed']);
    });

    it('a review that was undone does not come back by being sent again', async () => {
      const { id, added } = await add();
      const same = { clientReviewId: 'once', rating: 4 };
      const first = await review(id, same);
      await execute(new UndoReview(ada, id, NOW));
      const again = await review(id, same);
      expect([again.existed, again.json]).toEqual([true, first.json]);
      expect(textOf(await view(id, again.readToken))).toEqual(textOf(added));
    });

    it('reviews, undoing, changes and deletion at the same moment leave an item and its log, or neither', async () => {
      for (let round = 0; round < 5; round++) {
        const { id } = await add();
        await review(id);
        const outcomes = await Promise.all([
          ...[1, 2, 3, 4].map((rating) => codeOf(review(id, { rating, reviewedAt: ago(rating * DAY_MS) }))),
          codeOf(execute(new UndoReview(ada, id, NOW))),
          codeOf(execute(new UndoReview(ada, id, NOW))),
          codeOf(execute(new ChangeStudyItem(ada, id, { tags: ['x'] }))),
          ...(round % 2 ? [codeOf(execute(new DeleteStudyItem(ada, id)))] : []),
        ]);
        for (const outcome of outcomes) expect(['done', 'NOT_FOUND', 'NOTHING_TO_UNDO']).toContain(outcome);
        const counted = await rows<{ rating: number; reviewedAt: Date; seq: number }>(
          'select rating, reviewed_at as "reviewedAt", seq from study_reviews where item_id = $1 and undone_at is null',
          [id],
        );
        if (round % 2) expect([await codeOf(view(id)), counted]).toEqual(['NOT_FOUND', []]);
        else expect((await view(id)).value).toMatchObject(scheduleIn(counted));
      }
    });

    it('a late one finds its place among a thousand, and leaves it again', async () => {
      const reviews = Array.from({ length: 1000 }, (_, nr) => ({
        ...{ clientReviewId: `${nr}`, rating: 1 + (nr % 4) },
        reviewedAt: ago((1000 - nr) * DAY_MS),
      }));
      const id = randomUUID();
      await take([{ id, ...flashcard(), reviews }]);
      const before = textOf(await view(id));
      const late = { rating: 1, reviewedAt: ago(500.5 * DAY_MS) };
      const { readToken } = await review(id, late);
      expect((await view(id, readToken)).value).toMatchObject(
        scheduleIn([...reviews.map((each, nr) => ({ ...each, seq: nr + 1 })), { ...late, seq: 1001 }]),
      );
      expect(textOf(await execute(new UndoReview(ada, id, NOW)))).toEqual(before);
    });
  });

  describe('added', () => {
    it('twice is once, also at the same moment; something else with its id is refused', async () => {
      const item = { id: randomUUID(), content: { front: 'f', back: 'b', n: [0.1, -0, 1e21, 5e-324, null, { ' ': '' }] } };
      const answers = await Promise.all([1, 2, 3].map(() => add(item)));
      expect(answers.map(({ added }) => added.existed).sort()).toEqual([false, true, true]);
      expect(new Set(answers.map(({ added }) => added.json.toString())).size).toBe(1);
      for (const other of [{ type: 'note', content: { markdown: 'x' } }, { tags: ['x'] }, flashcard('other')]) {
        expect(await codeOf(add({ ...item, ...other }))).toBe('ID_TAKEN');
      }
      await review(item.id);
      expect((await add(item)).added.existed).toBe(true);
      expect(await audited()).toEqual(['study-item.added', 'study-item.reviewed']);
    });

    it('keeps any text there is, in content and tags', async () => {
      const text = fc
        .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
        .filter((value) => !value.includes('\0') && value.trim() !== '');
      const hostile = fc.constantFrom(
        'NULL',
        'null',
        '{}',
        '{a,b}',
        '"',
        '\\',
        "'; drop table users; --",
        ',',
        '\n',
        ' ',
        '$1',
        '?',
      );
      const tags = fc.uniqueArray(fc.oneof(text, hostile), { maxLength: 5 });
      await fc.assert(
        fc.asyncProperty(text, fc.oneof(text, hostile), tags, async (front, back, labels) => {
          const { id, added } = await add({ ...flashcard(front, back), tags: labels });
          expect(added.value).toMatchObject({ content: { front, back }, tags: labels });
          expect((await add({ id, ...flashcard(front, back), tags: labels })).added.existed).toBe(true);
          const changed = await execute(new ChangeStudyItem(ada, id, { tags: labels.toReversed() }));
          expect(changed.value.tags).toEqual(labels.toReversed());
          for (const tag of labels) {
            const found = await contexts.queries.execute(new ListStudyItems(ada, { tag }, { limit: 200 }));
            expect(found.value.items.map((item) => item.id)).toContain(id);
          }
        }),
        { numRuns: 60 },
      );
    });

    it('an item of somebody who does not exist is refused', async () => {
      expect(await codeOf(add({}, { userId: randomUUID(), role: 'STUDENT' }))).toBe('USER_NOT_FOUND');
    });
  });

  describe('imported', () => {
    const given = fc.array(
      fc.record({
        rating: fc.integer({ min: 1, max: 4 }),
        days: fc.integer({ min: 0, max: 3000 }),
        durationMs: fc.option(fc.nat(9999), { nil: undefined }),
      }),
      { maxLength: 8 },
    );

    it('ST-7 with reviews is the same as added, and reviewed one by one', async () => {
      await fc.assert(
        fc.asyncProperty(given, async (log_) => {
          const reviews = log_.map(({ rating, days, durationMs }, nr) => ({
            ...{ clientReviewId: `${nr}`, rating, reviewedAt: ago(days * DAY_MS) },
            ...(durationMs !== undefined && { durationMs }),
          }));
          const [one, all] = [(await add({ tags: ['x'] })).id, randomUUID()];
          for (const each of reviews) await review(one, each);
          await take([{ id: all, ...flashcard(), tags: ['x'], reviews }]);
          const [{ id: _, ...expected }, { id: __, ...found }] = [(await view(one)).value, (await view(all)).value];
          expect(found).toEqual(expected);
          const logged = async (id: string) =>
            (await log(id))
              .map(({ clientReviewId, rating, reviewedAt, durationMs }) => [clientReviewId, rating, reviewedAt, durationMs])
              .sort();
          expect(await logged(all)).toEqual(await logged(one));
          const [last] = await rows<{ seq: number; reviewCount: number }>(
            `select coalesce(max(r.seq), 0) as seq, min(i.review_count) as "reviewCount"
             from study_items i left join study_reviews r on r.item_id = i.id where i.id = $1`,
            [all],
          );
          expect(last).toEqual({ seq: reviews.length, reviewCount: reviews.length });
          // It goes on from there: each review can still be repeated, and be undone.
          if (reviews[0]) expect((await review(all, reviews[0])).existed).toBe(true);
          for (let undone = 0; undone < reviews.length; undone++) await execute(new UndoReview(ada, all, NOW));
          expect((await view(all)).value).toMatchObject(scheduleIn([]));
        }),
        { numRuns: 20 },
      );
    }, 60_000);

    it('takes up a batch where it was left, and what was put right since', async () => {
      const good = Array.from({ length: 6 }, (_, nr) => flashcard(`${nr}`));
      const bad = { ...flashcard(), content: { front: 'no back' } };
      const first = lines(...good.slice(0, 3), bad, bad);
      expect(await take(first, 'cards')).toEqual({
        accepted: 3,
        rejected: [4, 5].map((line) => ({
          line,
          code: 'VALIDATION_FAILED',
          detail: `content.back: must have required property 'back'`,
        })),
      });
      const second = lines(...good.slice(0, 3), flashcard('put right'), bad, ...good.slice(3));
      expect(await take(second, 'cards')).toMatchObject({ accepted: 7, rejected: [{ line: 5 }] });
      expect(await take(second, 'cards')).toMatchObject({ accepted: 7, rejected: [{ line: 5 }] });
      expect((await count()).items).toBe(7);
      expect(await take(second, 'other cards')).toMatchObject({ accepted: 7 });
      expect((await count()).items).toBe(14);
      expect(await audited()).toEqual(Array(3).fill('study-item.imported'));
    });

    it('takes a batch that several send at the same moment once, and that of each learner', async () => {
      const ben = await contexts.newLearner();
      const chunk = lines(...Array.from({ length: 50 }, (_, nr) => ({ ...flashcard(`${nr}`), reviews: [logged('a', 3)] })));
      const taken = await Promise.all([ada, ada, ada, ada, ben].map((owner) => take(chunk, 'same', owner)));
      expect(taken).toEqual(Array(5).fill({ accepted: 50, rejected: [] }));
      expect(await count()).toEqual({ items: 50, reviews: 50 });
    });

    it('that several send at the same moment in any order comes in once, and nobody waits for long', async () => {
      for (let round = 1; round <= 8; round++) {
        const chunk = lines(...Array.from({ length: 300 }, (_, nr) => ({ ...flashcard(`${nr}`), id: randomUUID() })));
        const taken = await Promise.all([chunk, chunk.toReversed(), chunk, chunk.toReversed()].map((each) => take(each)));
        expect(taken).toEqual(Array(4).fill({ accepted: 300, rejected: [] }));
        expect((await count()).items).toBe(300 * round);
      }
    });

    it('keeps the first of those that have the same id in one chunk, with its reviews alone', async () => {
      const [same, known] = [randomUUID(), (await add({ ...flashcard('known') })).id];
      const result = await take([
        { id: same, ...flashcard('one'), reviews: [logged('a', 3)] },
        { id: same, ...flashcard('one'), reviews: [logged('b', 2), logged('c', 1)] },
        { id: same, ...flashcard('two'), reviews: [logged('a', 3)] },
        { id: same, ...flashcard('one') },
        { id: known, ...flashcard('known'), reviews: [logged('a', 3)] },
        { id: known, ...flashcard('unknown') },
      ]);
      expect(result).toEqual({
        accepted: 4,
        rejected: [3, 6].map((line) => ({ line, code: 'ID_TAKEN', detail: expect.any(String) as string })),
      });
      expect((await log(same)).map(({ clientReviewId }) => clientReviewId)).toEqual(['a']);
      expect((await view(same)).value).toMatchObject({ content: { front: 'one' }, scheduling: { reps: 1 } });
      expect((await view(known)).value.scheduling.reps).toBe(0);
    });

    it('names the poison among a thousand good ones, and takes the rest in one go', async () => {
      const chunk = lines(...Array.from({ length: 1000 }, (_, nr) => ({ ...flashcard(`${nr}`), reviews: [logged('a', 3)] })));
      chunk[17]!.value.type = 'hologram';
      chunk[500]!.value.reviews = [logged('a', -1)];
      chunk[600]!.value.content = { front: '' };
      chunk[999]!.value.id = (await add(flashcard('taken'))).id;
      const { accepted, rejected } = await take(chunk);
      expect([accepted, rejected.map(({ line, code }) => [line, code])]).toEqual([
        996,
        expect.arrayContaining([
          [18, 'VALIDATION_FAILED'],
          [501, 'REVIEW_IN_FUTURE'],
          [601, 'VALIDATION_FAILED'],
          [1000, 'ID_TAKEN'],
        ]),
      ]);
      expect(rejected).toHaveLength(4);
      expect(await count()).toEqual({ items: 997, reviews: 996 });
      expect(await audited()).toEqual(['study-item.added', 'study-item.imported']);
    });

    it('names the first fault of what is large, whose faults nobody wants to count, and refuses what no request could bring', async () => {
      const quiz = (choices: unknown[]) => ({ type: 'quiz', content: { question: 'which?', choices, answer: 0 } });
      const large = { ...flashcard(), content: { ...flashcard().content, more: 'x'.repeat(1024 * 1024) } };
      expect(await take(lines(quiz(Array(100_000).fill(0)), quiz([0, 0]), large))).toEqual({
        accepted: 0,
        rejected: [
          { line: 1, code: 'VALIDATION_FAILED', detail: 'content.choices: must NOT have more than 20 items' },
          {
            line: 2,
            code: 'VALIDATION_FAILED',
            detail: expect.stringMatching(/choices\.0: must be string; content.choices\.1/),
          },
          { line: 3, code: 'VALIDATION_FAILED', detail: 'content: Content has at most 1048576 characters, as JSON.' },
        ],
      });
    });

    it('of nothing, and of nothing that can be taken, leaves nothing', async () => {
      expect(await take([], 'empty')).toEqual({ accepted: 0, rejected: [] });
      expect((await take([{ type: 'hologram' }], 'bad')).accepted).toBe(0);
      expect(await count()).toEqual({ items: 0, reviews: 0 });
      expect(await audited()).toEqual([]);
    });
  });

  describe('of a type', () => {
    const text = (length: number) => 'x'.repeat(length);
    const quiz = { question: 'Which?', choices: ['a', 'b', 'c'], answer: 'b' };

    const brief = (content: unknown) => JSON.stringify(content).slice(0, 80);
    const accepted: [type: string, content: Record<string, unknown>][] = [
      ['flashcard', { front: 'a', back: 'b' }],
      ['flashcard', { front: text(65_536), back: '字'.repeat(65_536), hint: { any: [1, null] } }],
      ['note', { markdown: '# Title' }],
      ['note', { markdown: text(262_144) }],
      ['quiz', quiz],
      ['quiz', { ...quiz, answer: 0 }],
      ['quiz', { ...quiz, answer: 2 }],
      ['quiz', { ...quiz, answer: 'a', explanation: 'because' }],
      ['quiz', { ...quiz, choices: Array.from({ length: 20 }, (_, nr) => `${nr}`), answer: '19' }],
    ];
    it.each(accepted.map(([type, content]) => [type, brief(content), content] as const))(
      'ST-2 ST-3 %s takes %s',
      async (type, _, content) => {
        expect((await add({ type, content })).added.value).toMatchObject({ type, content });
      },
    );

    const refused: [type: string, content: Record<string, unknown>, faults: [path: string, code: string][]][] = [
      ['flashcard', {}, [['content.front', 'required'], ['content.back', 'required']]], // prettier-ignore
      ['flashcard', { front: 'a' }, [['content.back', 'required']]],
      ['flashcard', { front: '', back: 'b' }, [['content.front', 'minLength']]],
      ['flashcard', { front: 1, back: null }, [['content.back', 'type'], ['content.front', 'type']]], // prettier-ignore
      ['flashcard', { front: text(65_537), back: 'b' }, [['content.front', 'maxLength']]],
      ['note', { front: 'a', back: 'b' }, [['content.markdown', 'required']]],
      ['note', { markdown: '' }, [['content.markdown', 'minLength']]],
      ['note', { markdown: ['x'] }, [['content.markdown', 'type']]],
      ['note', { markdown: text(262_145) }, [['content.markdown', 'maxLength']]],
      ['quiz', {}, [['content.question', 'required'], ['content.choices', 'required'], ['content.answer', 'required']]], // prettier-ignore
      ['quiz', { ...quiz, question: '' }, [['content.question', 'minLength']]],
      ['quiz', { ...quiz, choices: ['b'] }, [['content.choices', 'minItems']]],
      ['quiz', { ...quiz, choices: ['b', 'b'] }, [['content.choices', 'uniqueItems']]],
      ['quiz', { ...quiz, choices: ['b', ''] }, [['content.choices.1', 'minLength']]],
      ['quiz', { ...quiz, choices: ['b', text(4097)] }, [['content.choices.1', 'maxLength']]],
      ['quiz', { ...quiz, choices: ['b', 7, null] }, [['content.choices.1', 'type'], ['content.choices.2', 'type']]], // prettier-ignore
      ['quiz', { ...quiz, choices: Array.from({ length: 21 }, (_, nr) => `b${nr || ''}`) }, [['content.choices', 'maxItems']]],
      ['quiz', { ...quiz, answer: 'd' }, [['content.answer', 'enum']]],
      ['quiz', { ...quiz, answer: -1 }, [['content.answer', 'minimum']]],
      ['quiz', { ...quiz, answer: 3 }, [['content.answer', 'exclusiveMaximum']]],
      ['quiz', { ...quiz, answer: 1.5 }, [['content.answer', 'type']]],
    ];
    it.each(refused.map(([type, content, faults]) => [type, brief(content), content, faults] as const))(
      'ST-3 %s refuses %s, and says what is wrong where',
      async (type, _, content, faults) => {
        const refusal: unknown = await add({ type, content }).catch((error: unknown) => error);
        expect(refusal).toMatchObject({ kind: 'invalid', code: 'VALIDATION_FAILED' });
        const told = (refusal as { details: { faults: { path: string; code: string }[] } }).details.faults;
        expect(told.map(({ path, code }) => [path, code])).toEqual(faults);
        expect((await take([{ type, content }])).rejected).toEqual([
          { line: 1, code: 'VALIDATION_FAILED', detail: expect.stringContaining(`${faults[0]![0]}: `) as string },
        ]);
      },
    );

    it.each([7, 'abc', null, { length: 9 }, { 0: 'b' }, [['b']], true])('ST-3 quiz refuses the choices %j', async (choices) => {
      const refusal: unknown = await add({ type: 'quiz', content: { ...quiz, choices } }).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'VALIDATION_FAILED' });
    });

    it('ST-3 that nobody knows is refused with those that there are', async () => {
      const refusal: unknown = await add({ type: 'hologram' }).catch((error: unknown) => error);
      expect(refusal).toMatchObject({
        code: 'VALIDATION_FAILED',
        details: {
          faults: [{ path: 'type', code: 'unknown_type', message: 'There is no such type; there are flashcard, note, quiz.' }],
        },
      });
    });

    it('ST-3 is held to its schema when it is changed, by what it becomes', async () => {
      const { id, added } = await add();
      const changes: [object, string][] = [
        [{ content: { front: 'a' } }, 'VALIDATION_FAILED'],
        [{ type: 'note' }, 'VALIDATION_FAILED'],
        [{ type: 'hologram' }, 'VALIDATION_FAILED'],
        [{ type: 'note', content: { markdown: 'x' } }, 'done'],
      ];
      expect(await codeOf(execute(new ChangeStudyItem(ada, id, changes[0]![0])))).toBe('VALIDATION_FAILED');
      expect(textOf(await view(id))).toEqual(textOf(added));
      for (const [change, outcome] of changes)
        expect(await codeOf(execute(new ChangeStudyItem(ada, id, change)))).toBe(outcome);
    });

    it('ST-2 a fourth one is a row more: no restart, no deploy', async () => {
      const cloze = { type: 'cloze', content: { text: 'Grass is {{green}}.' } };
      expect(await codeOf(add(cloze))).toBe('VALIDATION_FAILED');
      await addType('cloze', {
        ...{ $id: 'https://example.org/item', type: 'object', required: ['text'], additionalProperties: false },
        properties: { text: { type: 'string', pattern: '\\{\\{.+\\}\\}' }, 'a/b~c': { type: 'number' } },
      });
      const { id } = await add(cloze);
      expect((await view(id)).value).toMatchObject(cloze);
      expect((await take([cloze, { ...cloze, content: { text: 'no gap' } }])).rejected).toMatchObject([{ line: 2 }]);
      const refusal: unknown = await add({ ...cloze, content: { ...cloze.content, 'a/b~c': 'x', more: 1 } }).catch(
        (error: unknown) => error,
      );
      const { faults } = (refusal as { details: { faults: { path: string }[] } }).details;
      expect(faults.map(({ path }) => path).sort()).toEqual(['content.a/b~c', 'content.more']);
      expect(await codeOf(review(id))).toBe('done');
      // Another may go by the same $id.
      await addType('cloze-too', { $id: 'https://example.org/item', type: 'object' });
      expect(await codeOf(add({ type: 'cloze-too', content: {} }))).toBe('done');
    });

    it.each([
      ['names a type that JSON does not have', { type: 'banana' }],
      ['refers to nowhere', { $ref: 'https://example.org/nothing' }],
      ['is of another draft', { $schema: 'https://json-schema.org/draft/2020-12/schema' }],
      ['has a pattern that is none', { properties: { a: { pattern: '(' } } }],
      ['would take its time', { $async: true, type: 'object', required: ['a'] }],
    ])('ST-2 whose schema %s can be told from a bad item, and is in the way of no other type', async (_, schema) => {
      const type = `broken-${randomUUID().slice(0, 8)}`;
      await addType(type, schema);
      const refusal: unknown = await add({ type, content: {} }).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ kind: 'unavailable', code: 'STUDY_TYPE_BROKEN', details: { retryAfterSeconds: 60 } });
      expect(await codeOf(add())).toBe('done');
      const { accepted, rejected } = await take([flashcard(), { type, content: {} }, flashcard()], type);
      expect([accepted, rejected]).toEqual([2, [{ line: 2, code: 'STUDY_TYPE_BROKEN', detail: expect.any(String) as string }]]);
    });

    it('ST-2 that has just been taken away is refused like one that never was', async () => {
      await addType('short-lived', { type: 'object' });
      const { id } = await add({ type: 'short-lived', content: {} });
      await execute(new DeleteStudyItem(ada, id));
      await rows(`delete from study_item_types where type = 'short-lived'`);
      expect(await codeOf(add({ type: 'short-lived', content: {} }))).toBe('VALIDATION_FAILED');
      expect(await codeOf(take([{ type: 'short-lived', content: {} }]))).toBe('VALIDATION_FAILED');
    });

    const addType = (type: string, schema: object) =>
      rows('insert into study_item_types (type, content_schema) values ($1, $2)', [type, schema]);
  });

  type Line = Partial<ImportedStudyItem>;
  const lines = (...items: Line[]): BulkLine<ImportedStudyItem>[] =>
    items.map((item, index) => ({ line: index + 1, bytes: 100, value: { ...flashcard(), ...item } }));
  async function take(items: Line[] | BulkLine<ImportedStudyItem>[], batchId?: string, owner = ada): Promise<LinesTaken> {
    const chunk = items.every((item): item is BulkLine<ImportedStudyItem> => 'line' in item) ? items : lines(...items);
    return (await execute(new ImportStudyItems(owner, chunk, batchId, NOW))).value;
  }
  const logged = (clientReviewId: string, days: number) => ({ clientReviewId, rating: 3, reviewedAt: ago(days * DAY_MS) });
  const count = async () => {
    const [row] = await rows<{ items: number; reviews: number }>(
      `select (select count(*)::int from study_items where user_id = $1) as items,
         (select count(*)::int from study_reviews where user_id = $1) as reviews`,
      [ada.userId],
    );
    return row!;
  };
});

const textOf = ({ json, etag }: { json: string | Buffer; etag?: string }) => ({ json: json.toString(), etag });
