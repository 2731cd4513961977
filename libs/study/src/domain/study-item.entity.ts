import { createHash } from 'node:crypto';
import { ArrayType, defineEntity, p } from '@mikro-orm/core';
import { isSameItem, type NewReview, type NewStudyItem } from './new-study-item';
import { afterReview, maturityOf, newSchedule, replay, STATES, type Schedule } from './schedule';
import { CLOCK_SKEW_MS, NothingToUndo, ReviewInFuture } from './study.errors';

/** Texts as PostgreSQL reads them: the ORM's own type leaves NULL without quotes, and escapes as JSON does. */
class TextArray extends ArrayType<string> {
  override convertToDatabaseValue(texts: string[] | null): string {
    return `{${(texts ?? []).map((text) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`;
  }
}

const StudyItemSchema = defineEntity({
  name: 'StudyItem',
  tableName: 'study_items',
  properties: {
    userId: p.uuid().primary(),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    type: p.text(),
    content: p.json<Record<string, unknown>>(),
    tags: p.type(TextArray).$type<string[]>().columnType('text[]').default([]),
    progress: p.float().columnType('double precision').default(0).comment('Maturity: min(1, stability / 21 days).'),
    lastReviewed: p.datetime(3).nullable(),
    nextReview: p.datetime(3).defaultRaw('now()'),
    state: p.enum(STATES).columnType('text').default('new'),
    stability: p
      .float()
      .columnType('double precision')
      .default(0)
      .comment('Days until the probability of recall has fallen to 90 % (FSRS).'),
    difficulty: p.float().columnType('double precision').default(0),
    scheduledDays: p.integer().default(0),
    learningStep: p.integer().default(0),
    reps: p.integer().default(0),
    lapses: p.integer().default(0),
    reviewCount: p.integer().default(0).comment('The seq of the last review that arrived, undone ones included.'),
    createdAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).defaultRaw('now()'),
    version: p.integer().default(1).comment('Counts changes of type, content and tags. A review changes none of them.'),
  },
  checks: [
    { name: 'study_items_content_check', expression: `jsonb_typeof(content) = 'object'` },
    { name: 'study_items_tags_check', expression: 'cardinality(tags) <= 50' },
    { name: 'study_items_progress_check', expression: 'progress >= 0 and progress <= 1' },
    { name: 'study_items_stability_check', expression: `stability >= 0 and stability < 'Infinity'` },
    { name: 'study_items_difficulty_check', expression: 'difficulty >= 0 and difficulty <= 10' },
    { name: 'study_items_scheduled_days_check', expression: 'scheduled_days >= 0' },
    { name: 'study_items_learning_step_check', expression: 'learning_step >= 0' },
    { name: 'study_items_reps_check', expression: 'reps >= 0' },
    { name: 'study_items_lapses_check', expression: 'lapses >= 0' },
    { name: 'study_items_review_count_check', expression: 'review_count >= 0' },
    {
      name: 'study_items_reviewed',
      expression: `(last_reviewed is null) = (state = 'new') and (last_reviewed is null) = (reps = 0)`,
    },
    { name: 'study_items_order', expression: 'last_reviewed is null or next_review >= last_reviewed' },
  ],
  indexes: [
    {
      name: 'study_items_newest',
      expression: 'create index study_items_newest on study_items (user_id, created_at desc, id desc)',
    },
    {
      name: 'study_items_new',
      expression: 'create index study_items_new on study_items (user_id, next_review, id) where last_reviewed is null',
    },
    {
      name: 'study_items_due',
      expression:
        'create index study_items_due on study_items (user_id, next_review) include (last_reviewed, state, id) where last_reviewed is not null',
    },
  ],
});

/** Something that a learner studies. Its schedule is what replaying its review log gives: nothing else changes it. */
export class StudyItem extends StudyItemSchema.class {
  static create(userId: string, item: NewStudyItem & { id: string }, now: Date): StudyItem {
    const created = Object.assign(new StudyItem(), { ...item, userId, tags: item.tags ?? [], createdAt: now, reviewCount: 0 });
    created.schedule(newSchedule(now));
    return created;
  }

  /** Whether creating `item` would have made this one. */
  isSame(item: NewStudyItem): boolean {
    return isSameItem(this, item);
  }

  edit(changes: Partial<Pick<NewStudyItem, 'type' | 'content' | 'tags'>>): void {
    Object.assign(this, changes);
  }

  /** Whether a review of that moment comes before one that is here already, so that it takes the log to place it. */
  isLate(reviewedAt: Date): boolean {
    return this.lastReviewed instanceof Date && reviewedAt < this.lastReviewed;
  }

  /**
   * Takes a review. The item has to be locked.
   * @param log the reviews that count so far; needed if this one is late
   * @throws ReviewInFuture
   */
  review(review: NewReview, now: Date, log: readonly StudyReview[] = []): StudyReview {
    const { clientReviewId, rating, reviewedAt = now, durationMs } = review;
    if (reviewedAt.getTime() > now.getTime() + CLOCK_SKEW_MS) throw new ReviewInFuture();
    const late = this.isLate(reviewedAt);
    const given = { rating, reviewedAt, seq: this.reviewCount + 1 };
    this.schedule(late ? replay(this.createdAt, [...log, given]) : afterReview(this.currentSchedule, given));
    this.reviewCount += 1;
    return StudyReview.of(this, { ...given, clientReviewId, durationMs: durationMs ?? null });
  }

  /**
   * Takes back the review that arrived last. The item has to be locked.
   * @param log the reviews that count
   * @throws NothingToUndo
   */
  undo(log: readonly StudyReview[], now: Date): StudyReview {
    const last = log.toSorted((a, b) => a.seq - b.seq).at(-1);
    if (!last) throw new NothingToUndo();
    last.undo(now);
    this.schedule(
      replay(
        this.createdAt,
        log.filter((review) => review !== last),
      ),
    );
    return last;
  }

  /** As the API shows it. */
  get scheduling() {
    const { state, stability, difficulty, reps, lapses } = this;
    return { state, stability, difficulty, reps, lapses };
  }

  get currentSchedule(): Schedule {
    const { state, stability, difficulty, scheduledDays, learningStep, reps, lapses, lastReviewed, nextReview } = this;
    return {
      state: state,
      stability,
      difficulty,
      scheduledDays,
      learningStep,
      reps,
      lapses,
      lastReviewed: lastReviewed ?? null,
      nextReview,
    };
  }

  private schedule(schedule: Schedule): void {
    Object.assign(this, schedule, { progress: maturityOf(schedule) });
  }
}
StudyItemSchema.setClass(StudyItem);

const StudyReviewSchema = defineEntity({
  name: 'StudyReview',
  tableName: 'study_reviews',
  comment: 'The review log, which is the truth: the schedule of an item is what replaying its log by reviewed_at gives.',
  properties: {
    userId: p.uuid().primary(),
    id: p.uuid().primary().comment('Made of item and client_review_id: the same review cannot be there twice.'),
    item: () =>
      p
        .manyToOne(StudyItem)
        .joinColumns('user_id', 'item_id')
        .ownColumns('item_id')
        .deleteRule('cascade')
        .updateRule('no action')
        .foreignKeyName('study_reviews_item'),
    seq: p.integer().comment('The order of arrival, which is what undo goes back in.'),
    clientReviewId: p.text(),
    rating: p.smallint(),
    reviewedAt: p.datetime(3),
    durationMs: p.integer().nullable(),
    answer: p
      .json<ReviewAnswer>()
      .columnType('json')
      .comment('What the reviewer was told, to be told again to a repeated request.'),
    undoneAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3).defaultRaw('now()'),
  },
  checks: [
    { name: 'study_reviews_seq_check', expression: 'seq >= 1' },
    {
      name: 'study_reviews_client_review_id_check',
      expression: 'length(client_review_id) >= 1 and length(client_review_id) <= 100',
    },
    { name: 'study_reviews_rating_check', expression: 'rating >= 1 and rating <= 4' },
    { name: 'study_reviews_duration_ms_check', expression: 'duration_ms >= 0 and duration_ms <= 86400000' },
    { name: 'study_reviews_answer_check', expression: `json_typeof(answer) = 'object'` },
  ],
  uniques: [
    {
      name: 'study_reviews_dense',
      expression: 'alter table study_reviews add constraint study_reviews_dense unique (user_id, item_id, seq)',
    },
  ],
  indexes: [
    {
      name: 'study_reviews_by_time',
      expression: 'create index study_reviews_by_time on study_reviews (user_id, reviewed_at)',
    },
  ],
});

/** What whoever has reviewed is told. */
export interface ReviewAnswer {
  reviewId: string;
  scheduling: StudyItem['scheduling'];
  /** ISO 8601 */
  nextReview: string;
}

interface GivenReview {
  clientReviewId: string;
  rating: number;
  reviewedAt: Date;
  durationMs: number | null;
  seq: number;
}

/** One entry of the log. It never changes, but may be undone. */
export class StudyReview extends StudyReviewSchema.class {
  /** The id of a review: the same for the same item and client_review_id. */
  static idOf(itemId: string, clientReviewId: string): string {
    const digest = createHash('sha256').update(`${itemId} ${clientReviewId}`).digest('hex');
    return digest.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
  }

  static of(item: StudyItem, given: GivenReview): StudyReview {
    const id = StudyReview.idOf(item.id, given.clientReviewId);
    const answer: ReviewAnswer = { reviewId: id, scheduling: item.scheduling, nextReview: item.nextReview.toISOString() };
    return Object.assign(new StudyReview(), { ...given, id, item, userId: item.userId, answer });
  }

  /** Whether giving `review` again means this one. What it leaves open may be anything. */
  isSame({ rating, reviewedAt = this.reviewedAt, durationMs = this.durationMs ?? undefined }: NewReview): boolean {
    return (
      this.rating === rating &&
      this.reviewedAt.getTime() === reviewedAt.getTime() &&
      (this.durationMs ?? undefined) === durationMs
    );
  }

  undo(now: Date): void {
    this.undoneAt = now;
  }
}
StudyReviewSchema.setClass(StudyReview);
