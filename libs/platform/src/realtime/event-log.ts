import { Injectable } from '@nestjs/common';
import { Database } from '../persistence/database';
import { encodeReadToken } from '../persistence/read-token';
import type { Learner } from '../security/actor';
import { isAhead, type EventCursor } from './event-cursor';

/** Something that has happened to a learner's things. */
export interface OwnEvent {
  /** The same however often it is read. */
  id: string;
  /** The topic of the event: `chat.message-appended`. */
  type: string;
  subjectId: string;
  changedFields: string[];
  /** ISO 8601 */
  at: string;
  /** A read that sends it sees at least what has happened here. */
  readToken: string;
}

export interface EventPage {
  /** In an order in which they can have happened; each with where a reader stands who has had it. */
  events: { event: OwnEvent; cursor: EventCursor }[];
  /** Where the reader stands after this page. */
  next: EventCursor;
  /** There may be more already. */
  hasMore: boolean;
  /** What has happened between the cursor and `next` is not known. */
  isReset: boolean;
}

const PAGE = 200;

/** $1 null: where the log stands now. One row without an event where there is none. */
const READ = `
  select pg_current_snapshot()::text as snapshot,
    (select system_identifier from pg_control_system()) || '-' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) as timeline,
    e.id::text, e.xid::text, e.action as type, e.subject_id as "subjectId", e.changed_fields as "changedFields", iso8601(e.occurred_at) as at
  from (select) always left join own_events($1::pg_snapshot, $2::pg_snapshot, $3, ${PAGE + 1}) e on true order by e.id`;

type Row = { snapshot: string; timeline: string } & (Omit<OwnEvent, 'readToken'> & { xid: string });

/** A learner's events, from the audit log: every command has written its event there, in its own transaction. */
@Injectable()
export class EventLog {
  constructor(private readonly database: Database) {}

  /** @param cursor undefined: from now on. @throws DatabaseUnavailable */
  async read(learner: Learner, cursor?: EventCursor): Promise<EventPage> {
    const rows = await this.database.read<Row>(learner, READ, [
      cursor?.since ?? null,
      cursor?.batch?.until ?? null,
      cursor?.batch?.after ?? '0',
    ]);
    const { snapshot, timeline } = rows[0]!;
    const now = { timeline, since: snapshot };
    if (!cursor) return { events: [], next: now, hasMore: false, isReset: false };
    const isForeign = cursor.timeline !== timeline || isAhead(cursor.batch?.until ?? cursor.since, snapshot);
    if (isForeign) return { events: [], next: now, hasMore: false, isReset: true };
    return pageOf(rows, cursor, cursor.batch?.until ?? snapshot);
  }
}

function pageOf(rows: Row[], { timeline, since, batch }: EventCursor, until: string): EventPage {
  const found = rows.filter(({ id }) => id !== null);
  const shown = found.slice(0, PAGE);
  const isComplete = found.length === shown.length;
  const events = shown.map(({ xid, id, type, subjectId, changedFields, at }, index) => {
    const isLast = isComplete && index === shown.length - 1;
    const cursor = isLast ? { timeline, since: until } : { timeline, since, batch: { until, after: id } };
    return { event: { id, type, subjectId, changedFields, at, readToken: encodeReadToken(timelineOf(timeline), xid) }, cursor };
  });
  const next = isComplete ? { timeline, since: until } : events.at(-1)!.cursor;
  return { events, next, hasMore: !isComplete || batch !== undefined, isReset: false };
}

/** The number in a cursor's timeline, of which it is the last eight hexadecimal digits. */
const timelineOf = (timeline: string): number => Number.parseInt(timeline.slice(-8), 16);
