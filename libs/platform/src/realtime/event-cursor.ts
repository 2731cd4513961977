import { ValidationFailed } from '../errors/domain-error';

/**
 * Where a reader of events stands: what `since` shows is delivered. In the middle of a batch that is: of what `until` shows and
 * `since` does not, in the order of ids, what comes before `after` and `after` itself. Sequence numbers alone would not do: they
 * become visible out of order.
 */
export interface EventCursor {
  /** The server and its timeline: snapshots of another one mean nothing (a restored backup, a failover). */
  readonly timeline: string;
  /** `pg_current_snapshot()::text` */
  readonly since: string;
  readonly batch?: { readonly until: string; readonly after: string };
}

const LARGEST = 2n ** 63n - 1n;
const CURSOR = /^1!(\d{1,20}-[0-9A-F]{8})!([\d:,]+)(?:!([\d:,]+)!(\d{1,19}))?$/;
const SNAPSHOT = /^(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)$/;

/** For clients opaque; an event's `id` on the wire. */
export function encodeEventCursor({ timeline, since, batch }: EventCursor): string {
  const parts = ['1', timeline, since, ...(batch ? [batch.until, batch.after] : [])];
  return Buffer.from(parts.join('!')).toString('base64url');
}

/** @throws ValidationFailed if the text is not one of ours */
export function decodeEventCursor(text: string): EventCursor {
  const [, timeline, since, until, after] = CURSOR.exec(Buffer.from(text, 'base64url').toString('latin1')) ?? [];
  const isSound = timeline && isSnapshot(since!) && (until === undefined || (isSnapshot(until) && BigInt(after!) <= LARGEST));
  if (!isSound) {
    throw new ValidationFailed([
      { path: 'Last-Event-ID', code: 'invalid_event_id', message: 'Send back the id of an event exactly as it was received.' },
    ]);
  }
  return { timeline, since: since!, ...(until !== undefined && { batch: { until, after: after! } }) };
}

/** What PostgreSQL takes as a pg_snapshot: 0 < xmin ≤ xmax, and in between, ascending, what was under way. */
function isSnapshot(text: string): boolean {
  const [, xmin, xmax, underWay] = SNAPSHOT.exec(text) ?? [];
  if (xmin === undefined) return false;
  const ids = [xmin, ...(underWay ? underWay.split(',') : []), xmax!].map(BigInt);
  if (ids[0]! < 1n || ids.at(-1)! > LARGEST) return false;
  return ids.every((id, at) => at === 0 || id >= ids[at - 1]!) && !(underWay && underWay.split(',').includes(xmax!));
}

/** Whether the server has not come as far as the snapshot: it is not the one that has made it. */
export function isAhead(snapshot: string, current: string): boolean {
  const xmaxOf = (text: string) => BigInt(text.split(':')[1]!);
  return xmaxOf(snapshot) > xmaxOf(current);
}
