import type { Learner } from '@studently/platform';
import type { Parameters } from './parameters';
import type { PassageScope } from './passage-scope';

/** Which of the published passages are looked through. */
export interface SharedScope extends PassageScope {
  /** Only what others have published: one's own is looked through already. */
  others: boolean;
}

/** @returns SQL of what a row has to be besides, to be added to a condition */
export function isOthers({ others }: SharedScope, actor: Learner, parameters: Parameters): (row: string) => string {
  if (!others) return () => '';
  const userId = parameters.add(actor.userId);
  return (row) => ` and ${row}.user_id <> ${userId}`;
}
