/** Raise it when the frame or any view's shape changes: older entries are then misses. */
const VERSION = 1;

const LINE_END = 0x0a;

/** What is kept under a cache key: a header about the data, and the data as it will be sent. */
export interface Envelope {
  /** The generation that was current before the data was read. */
  readonly generation: string;
  /** The snapshot in which it was read (`pg_current_snapshot()`), to be compared with read tokens. */
  readonly snapshot: string;
  /** When it was read, in ms since 1970. */
  readonly at: number;
  readonly etag: string;
  /** UTF-8 bytes when it comes from the cache, text when PostgreSQL has just made it. */
  readonly json: string | Buffer;
}

/** One line of header, then the data untouched: reading it costs no parsing of the data. */
export function seal({ json, ...header }: Envelope): string {
  return `${JSON.stringify({ v: VERSION, ...header })}\n${json.toString()}`;
}

/** @returns undefined for what is not an envelope of this version: a miss */
export function open(sealed: Buffer): Envelope | undefined {
  const end = sealed.indexOf(LINE_END);
  if (end < 0) return undefined;
  try {
    const header = JSON.parse(sealed.toString('utf8', 0, end)) as Envelope & { v?: number };
    if (header.v !== VERSION || typeof header.generation !== 'string' || typeof header.snapshot !== 'string') return undefined;
    return { ...header, json: sealed.subarray(end + 1) };
  } catch {
    return undefined;
  }
}
