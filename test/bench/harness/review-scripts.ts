import { actingFor, recorded } from './scripts';

export interface Reviewer {
  userId: string;
  /** How many items the learner has: `itemId(1)` and so on. */
  items: number;
}

/** The learner's nth item. Two learners' items may have the same id. */
export const itemId = (nth: number) => `00000000-0000-4000-8000-${String(nth).padStart(12, '0')}`;

/** A new review of any item. */
const chosen = (items: number) => `\\set nth random(1, ${items})
\\set token random(1, 9000000000000000000)`;

const ITEM = `('00000000-0000-4000-8000-' || lpad(:nth::text, 12, '0'))::uuid`;

/** The id that the review will have; the API makes it of the item and the client's id. */
const REVIEW = 'md5(:token::text)::uuid';

const lock = (userId: string) =>
  `select "s0".* from "study_items" as "s0" where "s0"."user_id" = '${userId}' and "s0"."id" = ${ITEM} limit 1 for update`;

const earlier = (userId: string) =>
  `select "s0".* from "study_reviews" as "s0" where "s0"."user_id" = '${userId}' and "s0"."id" = ${REVIEW} limit 1`;

/** `seq`: of the review. */
const insert = (userId: string, seq: string) => `insert into "study_reviews"
  ("user_id", "id", "item_id", "seq", "client_review_id", "rating", "reviewed_at", "duration_ms", "answer")
values ('${userId}', ${REVIEW}, ${ITEM}, ${seq}, gen_random_uuid()::text, 3, now(), 4200,
  json_build_object('reviewId', ${REVIEW}, 'scheduling', json_build_object('state', 'review', 'stability', 2.3065, 'difficulty',
    2.11810397, 'reps', ${seq}, 'lapses', 0), 'nextReview', iso8601(now() + interval '3 days'))) returning "created_at"`;

const update = (userId: string, seq: string) => `update "study_items" set "last_reviewed" = now(),
  "next_review" = now() + interval '3 days', "difficulty" = 2.1 + ${seq} / 1e6, "scheduled_days" = 3, "state" = 'review',
  "reps" = ${seq}, "review_count" = ${seq}
where "user_id" = '${userId}' and "id" = ${ITEM}`;

const record = (userId: string) => recorded(userId, 'study-item.reviewed', userId, 'schedule', `'reviewId', gen_random_uuid()`);

/** What the API sends for POST /v1/study/items/{id}/reviews, in as many round trips (recorded between API and PostgreSQL). */
export function reviewScript({ userId, items }: Reviewer): string {
  return `${chosen(items)}
begin;
\\startpipeline
${actingFor(userId)}
\\endpipeline
${lock(userId)} \\gset
${earlier(userId)};
\\set seq :review_count + 1
${insert(userId, ':seq::int')};
${update(userId, ':seq::int')};
${record(userId)};
commit;
`;
}

/** The same work, sent at once: what would be left if nobody waited for an answer before the last. */
export function reviewInOneTrip({ userId, items }: Reviewer): string {
  const seq = `(select review_count + 1 from study_items where "user_id" = '${userId}' and "id" = ${ITEM})`;
  return `${chosen(items)}
\\startpipeline
begin;
${actingFor(userId)}
${lock(userId)};
${earlier(userId)};
${insert(userId, seq)};
${update(userId, '(review_count + 1)')};
${record(userId)};
commit;
\\endpipeline
`;
}
