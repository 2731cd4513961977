import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { Sessions } from '@studently/identity';
import { DomainError, EventLog, Health, LearnerNews, type EventCursor, type Learner } from '@studently/platform';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Gauge } from 'prom-client';
import { EventStream } from './event-stream';

export const EVENT_STREAMS = 'studently_event_streams';

/** Of one learner in one process: some devices with some windows each. */
const MOST_OF_A_LEARNER = 10;
const TICK_MS = 250;

class TooManyStreams extends DomainError {
  constructor() {
    const message = `You follow your events ${MOST_OF_A_LEARNER} times already: close one of these streams first.`;
    super('rate-limited', 'TOO_MANY_STREAMS', message, { retryAfterSeconds: 5 });
  }
}

/** The streams that this process has open. They end with the session, and when the process is about to. */
@Injectable()
export class EventStreams implements BeforeApplicationShutdown {
  private readonly byLearner = new Map<string, Set<EventStream>>();
  private timer?: NodeJS.Timeout;
  private isShuttingDown = false;

  constructor(
    private readonly log: EventLog,
    private readonly news: LearnerNews,
    private readonly sessions: Sessions,
    private readonly health: Health,
    @InjectMetric(EVENT_STREAMS) private readonly open: Gauge,
  ) {}

  beforeApplicationShutdown(): void {
    this.isShuttingDown = true;
    this.tick();
  }

  /**
   * @param stillMay asked where this process does not know which sessions have ended
   * @param cursor undefined: from now on. @throws TooManyStreams, DatabaseUnavailable
   */
  async follow(learner: Learner, stillMay: () => Promise<void>, cursor?: EventCursor): Promise<EventStream> {
    const check = async () => {
      if (this.sessions.hasEnded(learner.sessionId!) !== false) await stillMay();
    };
    const stream = new EventStream(learner, this.log, check, cursor);
    this.add(stream);
    const unwatch = this.news.watch(learner.userId, (xid) => stream.hear(xid)); // before the first read: nothing falls in between
    stream.once('close', () => {
      unwatch();
      this.remove(stream);
    });
    try {
      await stream.begin();
    } catch (error) {
      stream.destroy();
      throw error;
    }
    if (this.isOver(stream)) stream.finish();
    return stream;
  }

  private add(stream: EventStream): void {
    const { userId } = stream.learner;
    const own = this.byLearner.get(userId) ?? new Set();
    if (own.size >= MOST_OF_A_LEARNER) throw new TooManyStreams();
    this.byLearner.set(userId, own.add(stream));
    this.open.inc();
    this.timer ??= setInterval(() => this.tick(), TICK_MS).unref();
  }

  private remove(stream: EventStream): void {
    const { userId } = stream.learner;
    const own = this.byLearner.get(userId)!;
    own.delete(stream);
    this.open.dec();
    if (own.size === 0) this.byLearner.delete(userId);
    if (this.byLearner.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private tick(): void {
    for (const stream of [...this.byLearner.values()].flatMap((own) => [...own])) {
      if (this.isOver(stream)) stream.finish();
      else stream.tick();
    }
  }

  private isOver({ learner: { sessionId, sessionExpiresAt } }: EventStream): boolean {
    if (this.isShuttingDown || this.health.isDraining) return true;
    return Date.now() >= sessionExpiresAt! || this.sessions.hasEnded(sessionId!) === true;
  }
}
