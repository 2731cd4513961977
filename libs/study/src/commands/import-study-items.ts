import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import {
  isRejection,
  lineOf,
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
import { isSameItem, type ImportedStudyItem } from '../domain/new-study-item';
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
  order by i.id -- two that insert the same items wait for each other in one direction alone
  on conflict (user_id, id) do nothing
  returning id`;
const INSERT_REVIEWS = `
  insert into study_reviews (user_id, id, item_id, seq, client_review_id, rating, reviewed_at, duration_ms, answer)
  select $1, r.id, r."itemId", r.seq, r."clientReviewId", r.rating, r."reviewedAt", r."durationMs", r.answer
  from jsonb_to_recordset($2) as r (id uuid, "itemId" uuid, seq int, "clientReviewId" text, rating int, "reviewedAt" timestamptz,
    "durationMs" int, answer json)`;
const EXISTING = 'select id, type, content, tags from study_items where user_id = $1 and id = any($2::uuid[])';

/** An item as it is about to be written. */
interface Prepared {
  id: string;
  given: ImportedStudyItem;
  row: object;
  log: StudyReview[];
}

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
      const read = await this.prepare(tx, open, now);
      const valid = read.filter((line): line is BulkLine<Prepared> => !isRejection(line));
      const fresh = await this.insert(tx, valid, now);
      const rejected = [...read.filter(isRejection), ...(await this.taken(tx, valid, fresh))];
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

  private async prepare(tx: Transaction, lines: BulkLine<ImportedStudyItem>[], now: Date) {
    const refusals = await this.types.refusalsOf(
      tx,
      lines.map(({ value }) => value),
    );
    const read: (BulkLine<Prepared> | Rejection)[] = [];
    for (const [index, { line, bytes, value }] of lines.entries()) {
      const prepare = () => {
        if (refusals[index]) throw refusals[index];
        return prepared(tx.actor.userId!, value, now);
      };
      read.push(lineOf(line, bytes, prepare));
      if (value.reviews) await setImmediate(); // a thousand reviews take a while: others have their turn
    }
    return read;
  }

  /** @returns the lines whose items were not there before */
  private async insert(tx: Transaction, lines: BulkLine<Prepared>[], now: Date): Promise<Set<BulkLine<Prepared>>> {
    const firstOfId = new Map(lines.toReversed().map((line) => [line.value.id, line]));
    if (firstOfId.size === 0) return new Set();
    const { userId } = tx.actor;
    const items = [...firstOfId.values()].map(({ value }) => value.row);
    const inserted = await tx.query<{ id: string }>(INSERT_ITEMS, [userId, now, JSON.stringify(items)]);
    const fresh = inserted.map(({ id }) => firstOfId.get(id)!);
    const log = fresh.flatMap(({ value }) => value.log.map(logRowOf));
    if (log.length > 0) await tx.query(INSERT_REVIEWS, [userId, JSON.stringify(log)]);
    return new Set(fresh);
  }

  /** The lines whose id belongs to another item. */
  private async taken(tx: Transaction, lines: BulkLine<Prepared>[], fresh: Set<BulkLine<Prepared>>): Promise<Rejection[]> {
    const others = lines.filter((line) => !fresh.has(line));
    if (others.length === 0) return [];
    const ids = others.map(({ value }) => value.id);
    const rows = await tx.query<Pick<StudyItem, 'id' | 'type' | 'content' | 'tags'>>(EXISTING, [tx.actor.userId, ids]);
    const existing = new Map(rows.map((row) => [row.id, row]));
    return others
      .filter(({ value: { id, given } }) => {
        const kept = existing.get(id);
        return !kept || !isSameItem(kept, given);
      })
      .map(({ line }) => ({ line, code: 'ID_TAKEN', detail: 'This id is already in use with another content.' }));
  }
}

/** An item with the schedule that its reviews have made. @throws ReviewInFuture */
function prepared(userId: string, given: ImportedStudyItem, now: Date): Prepared {
  const { reviews = [], tags = [], ...rest } = given;
  const id = given.id ?? randomUUID();
  if (reviews.length === 0) return { id, given, row: { ...rest, tags, id }, log: [] };
  const item = StudyItem.create(userId, { ...rest, tags, id }, now);
  // In the order of their time, as if each had been given to the item then.
  const inOrder = reviews.toSorted((a, b) => a.reviewedAt.getTime() - b.reviewedAt.getTime());
  const log = inOrder.map((review) => item.review(review, now));
  return { id, given, row: rowOf(item), log };
}

const rowOf = ({ id, type, content, tags, progress, reviewCount, currentSchedule }: StudyItem) => ({
  ...{ id, type, content, tags, progress, reviewCount },
  ...currentSchedule,
});
const logRowOf = ({ id, item, seq, clientReviewId, rating, reviewedAt, durationMs, answer }: StudyReview) => ({
  ...{ id, seq, clientReviewId, rating, reviewedAt, durationMs, answer },
  itemId: item.id,
});
