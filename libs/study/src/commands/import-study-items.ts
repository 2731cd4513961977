import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import {
  markAccepted,
  openLines,
  UnitOfWork,
  View,
  type BulkLine,
  type Learner,
  type LinesTaken,
  type Rejection,
  type Transaction,
  type Written,
} from '@studently/platform';
import { ContentTypes } from '../content-types';
import type { ImportedStudyItem } from '../domain/new-study-item';
import { StudyItem, type StudyReview } from '../domain/study-item.entity';
import { StudyItemsImported } from '../study.events';

/** Adds many items at once. Under a batch, a line that was accepted before is not accepted twice. */
export class ImportStudyItems extends Command<Written<LinesTaken>> {
  constructor(
    readonly actor: Learner,
    readonly lines: BulkLine<ImportedStudyItem>[],
    readonly batchId?: string,
    readonly now = new Date(),
  ) {
    super();
  }
}

/** One statement for all items. Those whose id is taken are left out; those without reviews bring no schedule. */
const INSERT_ITEMS = `
  insert into study_items (user_id, id, type, content, tags, created_at, next_review, last_reviewed, progress, state, stability,
    difficulty, scheduled_days, learning_step, reps, lapses, review_count)
  select $1, i.id, i.type, i.content, i.tags, $2, coalesce(i."nextReview", $2), i."lastReviewed", coalesce(i.progress, 0),
    coalesce(i.state, 'new'), coalesce(i.stability, 0), coalesce(i.difficulty, 0), coalesce(i."scheduledDays", 0),
    coalesce(i."learningStep", 0), coalesce(i.reps, 0), coalesce(i.lapses, 0), coalesce(i."reviewCount", 0)
  from jsonb_to_recordset($3) as i (id uuid, type text, content jsonb, tags text[], "nextReview" timestamptz,
    "lastReviewed" timestamptz, progress float8, state text, stability float8, difficulty float8, "scheduledDays" int,
    "learningStep" int, reps int, lapses int, "reviewCount" int)
  on conflict (user_id, id) do nothing
  returning id`;
const INSERT_REVIEWS = `
  insert into study_reviews (user_id, id, item_id, seq, client_review_id, rating, reviewed_at, duration_ms, answer)
  select $1, r.id, r."itemId", r.seq, r."clientReviewId", r.rating, r."reviewedAt", r."durationMs", r.answer
  from jsonb_to_recordset($2) as r (id uuid, "itemId" uuid, seq int, "clientReviewId" text, rating int, "reviewedAt" timestamptz,
    "durationMs" int, answer json)`;
const EXISTING = 'select id, type, content, tags from study_items where user_id = $1 and id = any($2::uuid[])';

type ImportedLine = BulkLine<ImportedStudyItem & { id: string }>;

@CommandHandler(ImportStudyItems)
export class ImportStudyItemsHandler implements ICommandHandler<ImportStudyItems> {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly types: ContentTypes,
  ) {}

  execute({ actor, lines, batchId, now }: ImportStudyItems): Promise<Written<LinesTaken>> {
    const batch = batchId === undefined ? undefined : { kind: 'study-items', batchId };
    return this.unitOfWork.run<LinesTaken>(actor, async (tx) => {
      const open = await openLines(tx, batch, lines);
      const { valid, rejected } = await this.judge(tx, open);
      const fresh = await this.insert(tx, actor.userId, valid, now);
      rejected.push(...(await this.taken(tx, actor.userId, valid, fresh)));
      const refused = new Set(rejected.map(({ line }) => line));
      await markAccepted(
        tx,
        batch,
        open.flatMap(({ line }) => (refused.has(line) ? [] : [line])),
      );
      if (fresh.size > 0) tx.record(new StudyItemsImported(actor.userId, fresh.size));
      else tx.existed();
      return View.of({ accepted: lines.length - rejected.length, rejected });
    });
  }

  private async judge(tx: Transaction, lines: BulkLine<ImportedStudyItem>[]) {
    const faults = await this.types.faultsOf(
      tx,
      lines.map(({ value }) => value),
    );
    const valid: ImportedLine[] = [];
    const rejected: Rejection[] = [];
    lines.forEach((line, index) => {
      const [fault] = faults[index]!;
      if (fault) rejected.push({ line: line.line, code: 'VALIDATION_FAILED', detail: `${fault.path}: ${fault.message}` });
      else valid.push({ ...line, value: { ...line.value, id: line.value.id ?? randomUUID() } });
    });
    return { valid, rejected };
  }

  /** @returns the ids of the items that were not there before */
  private async insert(tx: Transaction, userId: string, lines: ImportedLine[], now: Date): Promise<Set<string>> {
    if (lines.length === 0) return new Set();
    const reviews: StudyReview[] = [];
    const items = lines.map(({ value: { reviews: log = [], ...given } }) => {
      if (log.length === 0) return { ...given, tags: given.tags ?? [] };
      const item = StudyItem.create(userId, given, now);
      // In the order of their time, as if each had been given to the item then.
      const inOrder = log.toSorted((a, b) => a.reviewedAt.getTime() - b.reviewedAt.getTime());
      reviews.push(...inOrder.map((review) => item.review(review, now)));
      return rowOf(item);
    });
    const inserted = await tx.query<{ id: string }>(INSERT_ITEMS, [userId, now, JSON.stringify(items)]);
    const fresh = new Set(inserted.map(({ id }) => id));
    const logged = reviews.filter(({ item }) => fresh.has(item.id)).map(logRowOf);
    if (logged.length > 0) await tx.query(INSERT_REVIEWS, [userId, JSON.stringify(logged)]);
    return fresh;
  }

  /** The lines whose id belongs to another item. */
  private async taken(tx: Transaction, userId: string, lines: ImportedLine[], fresh: Set<string>): Promise<Rejection[]> {
    const seen = new Set<string>();
    const repeated = lines.filter(({ value: { id } }) => !fresh.has(id) || seen.size === seen.add(id).size);
    if (repeated.length === 0) return [];
    const rows = await tx.query<Pick<StudyItem, 'id' | 'type' | 'content' | 'tags'>>(EXISTING, [
      userId,
      repeated.map(({ value }) => value.id),
    ]);
    const existing = new Map(rows.map((row) => [row.id, row]));
    return repeated
      .filter(
        ({ value: { id, type, content, tags = [] } }) => !isDeepStrictEqual(existing.get(id), { id, type, content, tags }),
      )
      .map(({ line }) => ({ line, code: 'ID_TAKEN', detail: 'This id is already in use with another content.' }));
  }
}

const rowOf = ({ id, type, content, tags, progress, reviewCount, currentSchedule }: StudyItem) => ({
  ...{ id, type, content, tags, progress, reviewCount },
  ...currentSchedule,
});
const logRowOf = ({ id, item, seq, clientReviewId, rating, reviewedAt, durationMs, answer }: StudyReview) => ({
  ...{ id, seq, clientReviewId, rating, reviewedAt, durationMs, answer },
  itemId: item.id,
});
