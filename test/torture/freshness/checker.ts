/** Something that was asked of the platform and answered. Times in ms, of one clock. */
export interface Operation {
  kind: 'write' | 'read';
  /** What it is about: two operations on one thing can be compared. */
  thing: string;
  /** How new the thing is that was answered: it grows with every write. */
  level: number;
  sent: number;
  answered: number;
  /** A read with the token of a write: the level which that write had made. */
  token?: number;
}

/** While it lasted, not everybody reached Redis, or a process had died. */
export interface Trouble {
  from: number;
  until: number;
}

export interface Stale {
  read: Operation;
  /** What it should at least have answered. */
  level: number;
  because: 'token' | 'acknowledged';
}

/** Without a token a reader may lag so long behind what was acknowledged. */
export const LAG_MS = 100;

/** And so long behind the end of a trouble in which it was written; or behind what anybody has been shown. */
export const BOUND_MS = 1000;

interface Due {
  at: number;
  level: number;
}

/**
 * The reads that were older than allowed: with a token ever, without one once what was written is due. A write that nobody
 * has acknowledged may have happened: it is due a second after somebody has been shown it.
 */
export function findStale(operations: readonly Operation[], troubles: readonly Trouble[]): Stale[] {
  const byThing = Map.groupBy(operations, ({ thing }) => thing);
  return [...byThing.values()].flatMap((history) => findStaleOf(history, troubles));
}

function findStaleOf(history: readonly Operation[], troubles: readonly Trouble[]): Stale[] {
  const dues = history.map((operation): Due => ({ at: dueAt(operation, troubles), level: operation.level }));
  dues.sort((one, other) => one.at - other.at);
  const reads = history.filter(({ kind }) => kind === 'read').sort((one, other) => one.sent - other.sent);
  const stale: Stale[] = [];
  let next = 0;
  let floor = -Infinity;
  for (const read of reads) {
    for (; next < dues.length && dues[next]!.at <= read.sent; next++) floor = Math.max(floor, dues[next]!.level);
    if (read.token !== undefined && read.level < read.token) stale.push({ read, level: read.token, because: 'token' });
    else if (read.level < floor) stale.push({ read, level: floor, because: 'acknowledged' });
  }
  return stale;
}

/** From when on nobody may read less. Where a trouble begins before that, it is a while after its end. */
function dueAt({ kind, sent, answered }: Operation, troubles: readonly Trouble[]): number {
  let due = answered + (kind === 'write' ? LAG_MS : BOUND_MS);
  for (const { from, until } of troubles) {
    if (from <= due && until >= sent) due = Math.max(due, until + BOUND_MS);
  }
  return due;
}
