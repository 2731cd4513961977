import { Readable } from 'node:stream';
import {
  DomainError,
  encodeEventCursor,
  snapshotSees,
  type EventCursor,
  type EventLog,
  type EventPage,
  type Learner,
} from '@studently/platform';

/** A client that has lost its stream comes back after a second or two: not all of a process's at the same moment. */
const RETRY_MS = 1000;
const HEARTBEAT_MS = 15_000;
/** After a read that has failed. */
const PAUSE_MS = 1000;
/** Whoever does not take what is left within that time is let go. */
const GRACE_MS = 500;

/** An event as server-sent events have it (HTML Living Standard, 9.2). */
const format = (type: string, cursor: EventCursor, data: object) =>
  `event: ${type}\nid: ${encodeEventCursor(cursor)}\ndata: ${JSON.stringify(data)}\n\n`;

/**
 * One learner's events as text. It pulls: only when there are news and the client has taken what was sent, the next page is
 * read. So a slow client costs one page of memory, however much happens meanwhile.
 */
export class EventStream extends Readable {
  private hasNews = false;
  private isWanted = false;
  private isReading = false;
  private isFinished = false;
  private spokeAt = performance.now();
  private pausedUntil = 0;

  /** @param stillMay whether the learner's session is still good. @throws DomainError */
  constructor(
    readonly learner: Learner,
    private readonly log: EventLog,
    private readonly stillMay: () => Promise<void>,
    private cursor?: EventCursor,
  ) {
    super();
  }

  /** The first page, before anything is answered. @throws DatabaseUnavailable */
  async begin(): Promise<void> {
    const page = await this.log.read(this.learner, this.cursor);
    const retry = `retry: ${RETRY_MS + Math.floor(Math.random() * RETRY_MS)}\n`;
    // An id without data is remembered by the client and shown to nobody: nothing is lost if it leaves before the first event.
    this.show(page, this.cursor ? `${retry}\n` : `${retry}id: ${encodeEventCursor(page.next)}\n\n`);
  }

  /** @param xid of the transaction that brings news; undefined: there may be some */
  hear(xid?: string): void {
    if (xid !== undefined && this.cursor && snapshotSees(this.cursor.since, BigInt(xid))) return; // told twice
    this.hasNews = true;
    void this.advance();
  }

  /** Several times a second: tries again what has failed, and shows that the connection is alive. */
  tick(): void {
    if (this.hasNews) void this.advance();
    else if (this.isWanted && performance.now() - this.spokeAt >= HEARTBEAT_MS) this.say(':\n\n');
  }

  /** Nothing more is read; what has been read is sent. */
  finish(): void {
    if (this.isFinished) return;
    this.isFinished = true;
    this.push(null);
    setTimeout(() => this.destroy(), GRACE_MS).unref();
  }

  override _read(): void {
    this.isWanted = true;
    void this.advance();
  }

  private async advance(): Promise<void> {
    while (this.hasNews && this.isWanted && !this.isReading && this.isOpen && performance.now() >= this.pausedUntil) {
      this.isReading = true;
      this.hasNews = false;
      try {
        await this.stillMay();
        const page = await this.log.read(this.learner, this.cursor);
        if (this.isOpen) this.show(page);
      } catch (error) {
        if (error instanceof DomainError && error.kind === 'unauthenticated') return this.finish();
        this.hasNews = true; // PostgreSQL is away, which readiness says
        this.pausedUntil = performance.now() + PAUSE_MS;
      } finally {
        this.isReading = false;
      }
    }
  }

  private get isOpen(): boolean {
    return !this.isFinished && !this.destroyed;
  }

  private show({ events, next, hasMore, isReset }: EventPage, opening = ''): void {
    this.cursor = next;
    this.hasNews ||= hasMore;
    const reset = isReset ? format('reset', next, { type: 'reset' }) : '';
    const text = opening + reset + events.map(({ event, cursor }) => format(event.type, cursor, event)).join('');
    if (text !== '') this.say(text);
  }

  private say(text: string): void {
    this.spokeAt = performance.now();
    this.isWanted = this.push(text);
  }
}
