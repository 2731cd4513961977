/** Raise it when the frame or any view's shape changes: older entries are then misses. */
export const VERSION = 4;

const LINE_END = 0x0a;

/** A view, and under what it counts. Under a cache key its JSON is sealed. */
export interface Envelope {
  /** The generation that was current before the data was read. */
  readonly generation: string;
  /** The timeline and the snapshot in which it was read (`mark_of`), to be compared with read tokens. */
  readonly mark: string;
  /** When it was read, in ms since 1970. */
  readonly at: number;
  readonly etag: string;
  readonly json: Buffer;
}

/** One line of header, then the data untouched: reading it costs no parsing of the data. */
export function seal({ json, ...rest }: Envelope): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify({ v: VERSION, ...rest })}\n`), json]);
}

/** @returns undefined for what is not an envelope of this version: a miss */
export function open(sealed: Buffer): Envelope | undefined {
  const end = sealed.indexOf(LINE_END);
  if (end < 0) return undefined;
  try {
    const header = JSON.parse(sealed.toString('utf8', 0, end)) as Envelope & { v?: number };
    if (header.v !== VERSION || typeof header.generation !== 'string' || typeof header.mark !== 'string') return undefined;
    return { ...header, json: sealed.subarray(end + 1) };
  } catch {
    return undefined;
  }
}

/**
 * What the first bytes of an envelope say, of whatever version, without the rest of it.
 * @returns undefined for what is none
 */
export function headOf(bytes: Buffer): { version: number; generation: string; at: number } | undefined {
  const head = bytes.toString();
  const version = /^\{"v":(\d+)[,}]/.exec(head)?.[1];
  if (version === undefined) return undefined;
  return {
    version: Number(version),
    generation: /"generation":"([^"]*)"/.exec(head)?.[1] ?? '',
    at: Number(/"at":(\d+)/.exec(head)?.[1] ?? 0),
  };
}
