import { asView, forgottenBy, type ReadModel } from '@studently/platform';
import { ProgressChanged, ProgressDeleted, ProgressRecorded } from '../study.events';

export interface ProgressView {
  id: string;
  category: string;
  /** 0 to 100 */
  score: number;
  timestamp: string;
  metadata: Record<string, unknown>;
  createdAt: string;
  updatedAt: string;
  version: number;
}

/** The columns of the view, of `progress p`. */
export const PROGRESS_VIEW = `
  p.id, p.category, p.score, iso8601(p."timestamp") as "timestamp", p.metadata,
  iso8601(p.created_at) as "createdAt", iso8601(p.updated_at) as "updatedAt", p.version`;

const tagOf = (progressId: string) => `progress:${progressId}`;

/** One entry of a learner's progress. */
export const progressModel: ReadModel<{ progressId: string }, ProgressView> = {
  sql: asView(`select ${PROGRESS_VIEW} from progress p where p.user_id = $1 and p.id = $2`),
  values: (userId, { progressId }) => [userId, progressId],
  key: ({ progressId }) => tagOf(progressId),
  tag: ({ progressId }) => tagOf(progressId),
  forgottenBy: [ProgressRecorded, ProgressChanged, ProgressDeleted].map((type) =>
    forgottenBy(type, (event) => [tagOf(event.subjectId)]),
  ),
};
