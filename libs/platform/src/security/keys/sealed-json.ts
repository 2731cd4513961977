import type { LearnerCipher, SealedColumn } from './learner-cipher';
import type { LearnerKeys } from './learner-keys';

/**
 * A sealed value in JSON that PostgreSQL has made. It begins with `\u0000`, which PostgreSQL never writes by itself: its
 * text holds no NUL, and a backslash in it becomes two. So nobody can write such a value.
 */
const SEALED = /"\\u0000([a-z_.]+) ([0-9a-f-]{36}) ([0-9a-f-]{36}) ([A-Za-z0-9+/=]*)"/g;
const MARK = '"\\u0000';

/**
 * SQL of a text column in a read model, as JSON: sealed, for `openSealedJson`, or as it is in rows that are not sealed yet.
 * @param row the alias of the table. Its columns are `<name>`, `<name>_sealed`, `user_id` and `id`.
 */
export function sealedJson(column: SealedColumn, row: string): string {
  const name = column.split('.')[1]!;
  return `sealed_json('${column}', ${row}.user_id, ${row}.id, ${row}.${name}, ${row}.${name}_sealed)`;
}

/** Opens what is sealed in JSON text; all the rest stays as it is. @throws SealedDataUnreadable */
export async function openSealedJson(keys: LearnerKeys, json: string): Promise<string> {
  if (!json.includes(MARK)) return json;
  const learners = new Set([...json.matchAll(SEALED)].map((match) => match[2]!));
  const ciphers = new Map<string, LearnerCipher>();
  for (const userId of learners) ciphers.set(userId, await keys.toOpen(userId));
  const opened = json.replace(SEALED, (_, column: SealedColumn, userId: string, id: string, sealed: string) =>
    JSON.stringify(ciphers.get(userId)!.open(column, id, Buffer.from(sealed, 'base64'))),
  );
  if (opened.includes(MARK)) throw new Error('A sealed value has another form than expected.');
  return opened;
}
