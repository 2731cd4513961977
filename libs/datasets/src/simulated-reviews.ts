import type { ImportedStudyItem } from '@studently/study';
import { createEmptyCard, fsrs, generatorParameters, Rating, State, type Card, type Grade } from 'ts-fsrs';

/** On every item that has them: nobody has really reviewed it. */
export const SIMULATED = 'simulated-reviews';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** The learner sits down once a day, for the last time a day ago: what has become due since then is due now. */
const DAYS = 28;
const SESSION_MS = 40 * MINUTE;

const scheduler = fsrs(generatorParameters({ enable_fuzz: false }));

/**
 * What a learner might have done with the `index`th card of a deck in the last four weeks, who begins with so many new cards a
 * day, forgets as FSRS expects, misses a day now and then, and has not come to all cards yet. The same at every call.
 */
export function simulateReviews(index: number, newADay: number, now: Date): NonNullable<ImportedStudyItem['reviews']> {
  const random = seeded(index);
  const lag = random() * SESSION_MS;
  const sessions = daysOfStudy().map((day) => now.getTime() - day * DAY + lag);
  const reviews: NonNullable<ImportedStudyItem['reviews']> = [];
  let card: Card = createEmptyCard(now);
  for (let at = sessions[Math.floor(index / newADay)]; at !== undefined && at < now.getTime();) {
    const reviewedAt = new Date(Math.round(at));
    const rating = ratingOf(card, reviewedAt, random);
    const durationMs = Math.round(2000 + 12_000 * random() ** 2);
    reviews.push({ clientReviewId: `simulated-${reviews.length + 1}`, rating, reviewedAt, durationMs });
    card = scheduler.next(card, reviewedAt, rating).card;
    const due = card.due.getTime();
    // A step of minutes is done in the same sitting.
    at = due - at < SESSION_MS ? due : sessions.find((session) => session >= due);
  }
  return reviews;
}

/** How many days ago; every eighth or so is left out. */
function daysOfStudy(): number[] {
  const random = seeded(2026);
  return Array.from({ length: DAYS }, (_, index) => DAYS - index).filter((day) => day === DAYS || day === 1 || random() < 0.88);
}

function ratingOf(card: Card, at: Date, random: () => number): Grade {
  const recall = card.state === State.New ? 0.8 : scheduler.get_retrievability(card, at, false);
  if (random() > recall) return Rating.Again;
  const ease = random();
  return ease < 0.12 ? Rating.Hard : ease > 0.88 ? Rating.Easy : Rating.Good;
}

/** Mulberry32: numbers from 0 to 1 that only depend on the seed. */
function seeded(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
