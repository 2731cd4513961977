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
  /** null: it does not fit on the page (`withinPage`) */
  json: string | null;
  /** ISO 8601 */
  createdAt: string;
  id: string;
}

type Position = Pick<PageRow, 'createdAt' | 'id'>;

const CURSOR = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** A page of large items ends before its limit: it is in memory some times over earlier it is sent. */
export const MOST_ON_A_PAGE = 8 * 1024 * 1024;

/** SQL of a page, of rows (json, "createdAt", id), whose items may be large: those that do not fit are there without their JSON. */
export const withinPage = (sql: string): string => `
  select case when sum(octet_length(json)) over earlier < ${MOST_ON_A_PAGE} or count(*) over earlier = 0 then json end as json, "createdAt", id
  from (${sql}) item
  window earlier as (order by "createdAt" desc, id desc rows between unbounded preceding and 1 preceding)
  order by "createdAt" desc, id desc`;

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
  const beyond = rows.findIndex(({ json }, nr) => nr === limit || json === null);
  const shown = beyond === -1 ? rows : rows.slice(0, beyond);
  const last = shown.at(-1);
  const nextCursor = rows.length > shown.length && last ? `"${encode(last)}"` : 'null';
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
