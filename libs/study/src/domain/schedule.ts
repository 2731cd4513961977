import { createEmptyCard, fsrs, generatorParameters, type Card } from 'ts-fsrs';

export const STATES = ['new', 'learning', 'review', 'relearning'] as const;
export type ItemState = (typeof STATES)[number];

/** What FSRS knows of an item, and when it is to be seen again. */
export interface Schedule {
  state: ItemState;
  /** Days until the probability of recall has fallen to 90 %; 0 before the first review. */
  stability: number;
  /** 1 (easy) to 10; 0 before the first review. */
  difficulty: number;
  /** The interval that was given, in days; 0 while learning. */
  scheduledDays: number;
  /** How many of the learning steps (1 and 10 minutes; 10 minutes when relearning) are done. */
  learningStep: number;
  reps: number;
  lapses: number;
  lastReviewed: Date | null;
  nextReview: Date;
}

/** A review as the schedule sees it. */
export interface ScheduledReview {
  /** 1 again, 2 hard, 3 good, 4 easy. */
  rating: number;
  reviewedAt: Date;
  /** Decides between reviews of the same moment: the order of arrival. */
  seq: number;
}

/** Without fuzz: replaying a log gives the same schedule every time, which is what makes the log the truth. */
const scheduler = fsrs(generatorParameters({ enable_fuzz: false }));

/** An item that has never been reviewed is due from its beginning. */
export function newSchedule(since: Date): Schedule {
  return scheduleOf(createEmptyCard(since));
}

/**
 * The schedule after one more review, by FSRS-6 with its default parameters and 90 % desired retention.
 * The review must not lie before the last one: see `replay`.
 * @see https://github.com/open-spaced-repetition/awesome-fsrs/wiki/The-Algorithm
 */
export function afterReview(schedule: Schedule, { rating, reviewedAt }: ScheduledReview): Schedule {
  return scheduleOf(scheduler.next(cardOf(schedule), reviewedAt, rating).card);
}

/** The schedule that a log makes, in whatever order its reviews have arrived. */
export function replay(since: Date, log: readonly ScheduledReview[]): Schedule {
  const inOrder = log.toSorted((a, b) => a.reviewedAt.getTime() - b.reviewedAt.getTime() || a.seq - b.seq);
  return inOrder.reduce(afterReview, newSchedule(since));
}

/** 0 (new) to 1: mature is what is remembered for three weeks. */
export const maturityOf = ({ stability }: Pick<Schedule, 'stability'>): number => Math.min(1, stability / 21);

function cardOf(schedule: Schedule): Card {
  const { state, stability, difficulty, scheduledDays, learningStep, reps, lapses, lastReviewed, nextReview } = schedule;
  return {
    due: nextReview,
    stability,
    difficulty,
    elapsed_days: 0, // not read any more
    scheduled_days: scheduledDays,
    learning_steps: learningStep,
    reps,
    lapses,
    state: STATES.indexOf(state),
    ...(lastReviewed && { last_review: lastReviewed }),
  };
}

function scheduleOf(card: Card): Schedule {
  return {
    state: STATES[card.state],
    stability: card.stability,
    difficulty: card.difficulty,
    scheduledDays: card.scheduled_days,
    learningStep: card.learning_steps,
    reps: card.reps,
    lapses: card.lapses,
    lastReviewed: card.last_review ?? null,
    nextReview: card.due,
  };
}
