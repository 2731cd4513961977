import { ValidationFailed } from '../errors/domain-error';

/** A transaction of one history of the database: whoever is promoted, or restored, begins another one. */
export interface Write {
  readonly timeline: number;
  /** PostgreSQL's 64-bit xid8, which never wraps. */
  readonly xid: bigint;
}

/**
 * "At least this write." Inside is the id of the transaction that wrote; a reader has seen the write when its snapshot says that this
 * transaction is over. See docs/adr/0005-read-tokens.md for why it is not an LSN.
 */
export function encodeReadToken(timeline: number, xid: string): string {
  return Buffer.from(`1.${timeline}.${xid}`).toString('base64url');
}

/** @throws ValidationFailed if the text is not a read token */
export function decodeReadToken(token: string): Write {
  const match = /^1\.(\d{1,10})\.(\d{1,20})$/.exec(Buffer.from(token, 'base64url').toString('latin1'));
  if (!match) {
    throw new ValidationFailed([
      { path: 'X-Read-Token', code: 'invalid_token', message: 'Send back an X-Read-Token exactly as it was received.' },
    ]);
  }
  return { timeline: Number(match[1]), xid: BigInt(match[2]!) };
}

/**
 * Whether what was read under this mark (`mark_of(pg_current_snapshot())`, "timeline/xmin:xmax:xid,xid…") sees a committed write. What happened
 * on another timeline may never have happened on this one.
 */
export function markSees(mark: string, { timeline, xid }: Write): boolean {
  const slash = mark.indexOf('/');
  return mark.slice(0, slash) === String(timeline) && snapshotSees(mark.slice(slash + 1), xid);
}

/**
 * Whether a snapshot (`pg_current_snapshot()::text`, "xmin:xmax:xid,xid…") sees a committed transaction.
 * @see https://www.postgresql.org/docs/15/functions-info.html#FUNCTIONS-PG-SNAPSHOT
 */
export function snapshotSees(snapshot: string, xid: bigint): boolean {
  const [xmin = '0', xmax = '0', inProgress = ''] = snapshot.split(':');
  if (xid < BigInt(xmin)) return true;
  return xid < BigInt(xmax) && !inProgress.split(',').includes(xid.toString());
}
