import { setImmediate } from 'node:timers/promises';
import { DomainError } from '../errors/domain-error';
import { parseJson } from '../json';
import type { BulkLine, Rejection } from './bulk';

/** Longer than any document that is kept, escapes included. */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;
const NEWLINE = 0x0a;
/** So many lines are told apart without letting others have their turn: half a millisecond, if they are empty. */
const LINES_AT_A_TIME = 1000;

export interface RawLine {
  line: number;
  /** undefined: longer than a line may be */
  text: Buffer | undefined;
}

/**
 * Newline-delimited JSON (https://github.com/ndjson/ndjson-spec) as it arrives; empty lines count but say nothing.
 * @param read makes a value of a line's JSON, or throws a DomainError that says what is wrong with it
 */
export async function* readNdjson<T>(
  source: AsyncIterable<Buffer>,
  read: (json: unknown) => T,
): AsyncGenerator<BulkLine<T> | Rejection> {
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  for await (const { line, text } of linesOf(source)) {
    if (text === undefined) {
      yield { line, code: 'LINE_TOO_LONG', detail: `A line has at most ${MAX_LINE_BYTES} bytes.` };
      continue;
    }
    let decoded: string;
    try {
      decoded = utf8.decode(text).trim();
    } catch {
      yield { line, code: 'MALFORMED_JSON', detail: 'The line is not UTF-8.' };
      continue;
    }
    if (decoded !== '') yield lineOf(line, text.length, () => read(parseJson(decoded)));
  }
}

/** The value of a line, or why there is none. */
export function lineOf<T>(line: number, bytes: number, read: () => T): BulkLine<T> | Rejection {
  try {
    return { line, bytes, value: read() };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const faults = error.details.faults?.map(({ path, message }) => (path ? `${path}: ${message}` : message));
    const message = error.code === 'MALFORMED_JSON' ? 'The line is not JSON.' : error.message;
    return { line, code: error.code, detail: faults?.slice(0, 5).join('; ') ?? message };
  }
}

/** The lines of a text of any length: each in memory for itself, an over-long one not at all. */
export async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<RawLine> {
  let line = 0;
  let parts: Buffer[] = [];
  let length = 0;
  const add = (part: Buffer) => {
    length += part.length;
    if (length <= MAX_LINE_BYTES) parts.push(part);
    else parts = []; // its end is still looked for
  };
  const end = (): RawLine => {
    const text = length > MAX_LINE_BYTES ? undefined : parts.length === 1 ? parts[0] : Buffer.concat(parts);
    parts = [];
    length = 0;
    return { line: ++line, text };
  };
  for await (const chunk of source) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, at));
      yield end();
      if (line % LINES_AT_A_TIME === 0) await setImmediate();
      from = at + 1;
    }
    if (from < chunk.length) add(chunk.subarray(from));
  }
  if (length > 0) yield end();
}
