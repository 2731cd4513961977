import { setImmediate } from 'node:timers/promises';
import { DomainError, type ErrorKind } from '../errors/domain-error';
import { Written, View } from '../view';

/** One line of a bulk request, read and found to be in order. Lines are counted from 1. */
export interface BulkLine<T> {
  line: number;
  value: T;
  /** Of the line as it was sent. */
  bytes: number;
}

/** A line that was not taken, and why. */
export interface Rejection {
  line: number;
  code: string;
  detail: string;
}

/** What became of some lines. */
export interface LinesTaken {
  accepted: number;
  rejected: Rejection[];
}

export interface BulkResult extends LinesTaken {
  /** Of all lines; `rejected` lists the first thousand. */
  rejectedCount: number;
}

/** So many lines are one command, one transaction. */
const CHUNK_LINES = 1000;
const CHUNK_BYTES = 4 * 1024 * 1024;
/** While PostgreSQL writes one, the next is made ready. Of one batch they wait for each other. */
const CHUNKS_UNDER_WAY = 3;
/** So many lines are read without letting others have their turn: about a millisecond. */
const LINES_AT_A_TIME = 100;
const LISTED_REJECTIONS = 1000;

/** It is not about the lines: others would fare no better. */
const ENDS_ALL = new Set<ErrorKind>(['unavailable', 'unauthenticated', 'not-found']);

export const isRejection = (line: object): line is Rejection => 'code' in line;

/**
 * Takes the lines in chunks, each by one command, while the next ones are being read: memory stays flat however
 * many come. A bad line never sinks the good ones: a chunk that is refused as a whole is halved until the
 * lines that are to blame stand alone.
 * @param take the command for one chunk
 * @param progress hears how many lines are done
 * @throws whatever `take` throws for other reasons than the lines (the database is away, the learner is gone), at once, however slowly
 * the lines come. What was accepted before stays.
 */
export async function takeInChunks<T>(
  lines: AsyncIterable<BulkLine<T> | Rejection>,
  take: (chunk: BulkLine<T>[]) => Promise<Written<LinesTaken>>,
  progress: (linesDone: number) => void = () => undefined,
): Promise<View<BulkResult>> {
  const result: BulkResult = { accepted: 0, rejected: [], rejectedCount: 0 };
  let readToken: string | undefined;
  let done = 0;
  const reject = (rejections: Rejection[]) => {
    result.rejectedCount += rejections.length;
    result.rejected.push(...rejections.slice(0, LISTED_REJECTIONS - result.rejected.length));
  };

  const takeAll = async (chunk: BulkLine<T>[]): Promise<void> => {
    try {
      const taken = await take(chunk);
      const { accepted, rejected } = taken.value;
      readToken = taken.readToken;
      result.accepted += accepted;
      reject(rejected);
    } catch (error) {
      if (!(error instanceof DomainError) || ENDS_ALL.has(error.kind)) throw error;
      if (chunk.length === 1) return reject([{ line: chunk[0]!.line, code: error.code, detail: error.message }]);
      const half = chunk.length / 2;
      await takeAll(chunk.slice(0, half));
      await takeAll(chunk.slice(half));
    }
  };

  let hasFailed = false;
  const failure = Promise.withResolvers<never>();
  const underWay = new Set<Promise<void>>();
  const start = (chunk: BulkLine<T>[], upTo: number): void => {
    const work = takeAll(chunk).then(() => {
      underWay.delete(work);
      progress((done = Math.max(done, upTo)));
    });
    work.catch((error: Error) => {
      hasFailed = true;
      failure.reject(error);
    });
    underWay.add(work);
  };

  let chunk: BulkLine<T>[] = [];
  let bytes = 0;
  let last = 0;
  const takeFull = async () => {
    for await (const line of lines) {
      if (hasFailed) return;
      if (chunk.length >= CHUNK_LINES || bytes >= CHUNK_BYTES) {
        if (underWay.size >= CHUNKS_UNDER_WAY) await Promise.race(underWay);
        start(chunk, last);
        chunk = [];
        bytes = 0;
      }
      if (chunk.length % LINES_AT_A_TIME === 0) await setImmediate(); // others have their turn
      last = line.line;
      if (isRejection(line)) reject([line]);
      else {
        chunk.push(line);
        bytes += line.bytes;
      }
    }
  };
  await Promise.race([takeFull(), failure.promise]);
  // Whoever sees the last chunk sees all: it begins when the others have been committed.
  await Promise.all(underWay);
  if (chunk.length > 0) await takeAll(chunk);
  progress(last);
  result.rejected.sort((one, other) => one.line - other.line);
  const { json } = View.of(result);
  return readToken === undefined ? new View<BulkResult>(json) : new Written<BulkResult>(json, undefined, readToken);
}
