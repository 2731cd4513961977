import type { DocumentCondition } from './document-filter';
import type { Parameters } from './parameters';

/** Which of a learner's passages are looked through. */
export interface PassageScope {
  /** Of their documents; undefined: all */
  where?: DocumentCondition;
  /** Passages that have been shown. */
  except: readonly string[];
}

/** SQL of what a document `d` has to be for a condition to hold, each to be added to a condition. */
export function holdsFor({ types, contained, path }: DocumentCondition, parameters: Parameters): string {
  return [
    ...(types ? [`d.type = any(${parameters.add(types)}::text[])`] : []),
    ...(contained ? [`d.metadata @> ${parameters.add(JSON.stringify(contained))}::jsonb`] : []),
    ...(path === undefined ? [] : [`d.metadata @@ ${parameters.add(path)}::jsonpath`]),
  ]
    .map((condition) => ` and ${condition}`)
    .join('');
}

/** SQL of what a row has to be besides the learner's, to be added to a condition. @param row has a document_id, and a passage's id in `passageId` */
export function isInScope(
  row: string,
  passageId: string,
  userId: string,
  { where, except }: PassageScope,
  parameters: Parameters,
): string {
  const of = where
    ? ` and ${row}.document_id in (select d.id from documents d where d.user_id = ${userId}${holdsFor(where, parameters)})`
    : '';
  return except.length > 0 ? `${of} and ${row}.${passageId} <> all(${parameters.add(except)}::uuid[])` : of;
}
