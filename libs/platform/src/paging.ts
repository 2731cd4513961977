import { ValidationFailed } from './errors/domain-error';
import { View } from './view';

/** A page of a list, newest first. */
export interface Page<T> {
  items: T[];
  /** Send it as `cursor` for the next page; null on the last one. */
  nextCursor: string | null;
}

export interface PageRequest {
  /** 1–200 */
  limit: number;
  cursor?: string;
}

interface PageRow {
  json: string;
  /** ISO 8601 */
  createdAt: string;
  id: string;
}

type Position = Pick<PageRow, 'createdAt' | 'id'>;

const CURSOR = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/**
 * One page by keyset: `load` answers up to `limit` rows after a position, newest first by (createdAt, id).
 * Rows that come or go elsewhere neither repeat nor hide others.
 * @throws ValidationFailed if the cursor is not one of ours
 */
export async function pageOf<T>(
  { limit, cursor }: PageRequest,
  load: (after: Position | undefined, limit: number) => Promise<PageRow[]>,
): Promise<View<Page<T>>> {
  const rows = await load(cursor === undefined ? undefined : decode(cursor), limit + 1);
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const nextCursor = rows.length > limit && last ? `"${encode(last)}"` : 'null';
  return new View(`{"items":[${shown.map((row) => row.json).join(',')}],"nextCursor":${nextCursor}}`);
}

function encode({ createdAt, id }: Position): string {
  return Buffer.from(`${createdAt}.${id}`).toString('base64url');
}

function decode(cursor: string): Position {
  const match = CURSOR.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (!match || !isMoment(match[1]!)) {
    throw new ValidationFailed([
      { path: 'cursor', code: 'invalid_cursor', message: 'Send back nextCursor exactly as it was received.' },
    ]);
  }
  return { createdAt: match[1]!, id: match[2]! };
}

/** Whether PostgreSQL will read it as the same moment: JavaScript also takes 30 February, 24:00 and the year 0. */
function isMoment(text: string): boolean {
  const moment = new Date(text);
  return !Number.isNaN(moment.getTime()) && moment.toISOString() === text && !text.startsWith('0000');
}
