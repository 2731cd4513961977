import { isDeepStrictEqual } from 'node:util';
import { defineEntity, p } from '@mikro-orm/core';
import { CLOCK_SKEW_MS, ClockSkew } from './study.errors';

const ProgressSchema = defineEntity({
  name: 'Progress',
  tableName: 'progress',
  properties: {
    userId: p.uuid().primary(),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    category: p.text(),
    score: p.double(),
    timestamp: p.datetime(3).defaultRaw('now()'),
    metadata: p.json<Record<string, unknown>>().default('{}'),
    createdAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).defaultRaw('now()'),
    version: p.integer().version().default(1),
  },
  checks: [
    { name: 'progress_category_check', expression: 'length(category) >= 1 and length(category) <= 64' },
    { name: 'progress_score_check', expression: 'score >= 0 and score <= 100' },
    { name: 'progress_metadata_check', expression: `jsonb_typeof(metadata) = 'object'` },
  ],
  indexes: [
    { name: 'progress_newest', expression: 'create index progress_newest on progress (user_id, created_at desc, id desc)' },
    {
      name: 'progress_series',
      expression: 'create index progress_series on progress (user_id, category, "timestamp" desc)',
    },
  ],
});

export interface NewProgress {
  id: string;
  /** What the score is of: 1 to 64 characters. */
  category: string;
  /** 0 to 100 */
  score: number;
  /** When it was reached; now by default. */
  timestamp?: Date;
  metadata?: Record<string, unknown>;
}

export type ProgressChanges = Partial<Pick<NewProgress, 'category' | 'score' | 'metadata'>>;

/** A score that a learner reached at some moment. What it means may be corrected; when it was stays. */
export class Progress extends ProgressSchema.class {
  /** @throws ClockSkew */
  static record(userId: string, { timestamp, metadata = {}, ...entry }: NewProgress, now: Date): Progress {
    if (timestamp && Math.abs(timestamp.getTime() - now.getTime()) > CLOCK_SKEW_MS) throw new ClockSkew();
    return Object.assign(new Progress(), { ...entry, userId, metadata, timestamp: timestamp ?? now });
  }

  /** Whether recording `entry` would have made this one. Without a timestamp it may have been at any time. */
  isSame({ category, score, timestamp = this.timestamp, metadata = {} }: NewProgress): boolean {
    return (
      this.category === category &&
      this.score === score &&
      this.timestamp.getTime() === timestamp.getTime() &&
      isDeepStrictEqual(this.metadata, metadata)
    );
  }

  change(changes: ProgressChanges): void {
    Object.assign(this, changes);
  }
}
ProgressSchema.setClass(Progress);
