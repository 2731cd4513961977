import { Logger } from '@nestjs/common';
import { ErrorReply, type RedisClientType } from 'redis4';

/** Longer than any healthy answer; a server that hangs must not hold up a request that PostgreSQL can serve. */
const DEADLINE_MS = 300;

/** A Redis that is lost is asked so often whether it is there again. */
const PROBE_MS = 100;

/** A connection that is not of use after so long will not be. */
const LONGEST_CONNECT_MS = 800;

/** Names a run of a server well enough: each start draws another one. */
const RUN_CHARACTERS = 12;

/**
 * The way of this process to one Redis, which its stores share. Once an answer has not come Redis is lost: whoever asks is refused at
 * once, until it has answered again. So only those requests wait for a Redis that hangs which are under way when it begins to.
 */
export class RedisLink {
  private static readonly links = new WeakMap<RedisClientType, RedisLink>();

  static over(client: RedisClientType): RedisLink {
    let link = RedisLink.links.get(client);
    if (!link) RedisLink.links.set(client, (link = new RedisLink(client)));
    return link;
  }

  private readonly logger = new Logger(RedisLink.name);
  private met?: string;
  private meeting?: Promise<string>;
  private isLost = false;
  private isClosed = false;
  private openedAt = performance.now();
  private timer?: NodeJS.Timeout;

  private constructor(private client: RedisClientType) {
    this.listenTo(client);
    if (client.isReady) void this.meet();
  }

  /**
   * Which run of the server answers; undefined: none. What an earlier run was told may be missing in this one: Redis keeps it
   * late or not at all, and a replica that takes over has not heard of everything.
   */
  get run(): string | undefined {
    return this.met;
  }

  /** @throws at once while Redis is lost, after 300 ms if it does not answer, and what it answers in its errors */
  ask<T>(command: (client: RedisClientType) => Promise<T>): Promise<T> {
    if (this.isLost || !this.meeting) return Promise.reject(new Error('Redis does not answer'));
    if (this.met !== undefined) return within(command(this.client), this.noteFault);
    return this.meeting.then(() => within(command(this.client), this.noteFault));
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    if (this.client.isOpen) await this.client.disconnect();
  }

  /** Asks who answers, before anything else is asked on a connection. */
  private async meet(): Promise<void> {
    this.met = undefined;
    const meeting = within(this.client.info('server')).then(runOf);
    this.meeting = meeting;
    try {
      const run = await meeting;
      if (this.meeting !== meeting) return;
      if (this.isLost) this.logger.log('Redis is back');
      this.met = run;
      this.isLost = false;
    } catch (error) {
      if (this.meeting === meeting) this.lose(error as Error);
    }
  }

  private readonly noteFault = (error: Error): void => {
    if (!(error instanceof ErrorReply)) this.lose(error);
  };

  private lose({ name, message }: Error): void {
    if (this.isClosed) return;
    if (!this.isLost) this.logger.warn(`Redis is not reachable, everything goes on without it: ${name} ${message}`);
    this.isLost = true;
    this.met = this.meeting = undefined;
    this.timer ??= setTimeout(() => void this.lookAgain(), PROBE_MS).unref();
  }

  private async lookAgain(): Promise<void> {
    if (this.client.isReady) await this.meet();
    this.timer = undefined;
    if (!this.isLost || this.isClosed) return;
    const mayStillCome = this.client.isOpen && !this.client.isReady && performance.now() - this.openedAt < LONGEST_CONNECT_MS;
    if (!mayStillCome) await this.reopen();
    this.timer ??= setTimeout(() => void this.lookAgain(), PROBE_MS).unref();
  }

  /**
   * With another client. This one may hold half of an answer, and would take what comes on a new connection for the rest of it, so that
   * each request got another one's answer from there on. Nor may a connection be waited for on which nothing comes back: TCP
   * gives up a host that is gone after a quarter of an hour.
   */
  private async reopen(): Promise<void> {
    const { client } = this;
    this.client = client.duplicate();
    this.listenTo(this.client);
    this.openedAt = performance.now();
    this.client.connect().catch(() => undefined); // 'error' has told
    if (client.isOpen) await client.disconnect();
  }

  /** To what the present client says; of an earlier one nothing counts. */
  private listenTo(client: RedisClientType): void {
    client.on('error', (error: Error) => client === this.client && this.lose(error));
    client.on('ready', () => client === this.client && void this.meet());
  }
}

function runOf(info: string): string {
  const [, run] = /^run_id:(\w+)/m.exec(info) ?? [];
  if (run === undefined) throw new Error('Redis does not say who it is');
  return run.slice(0, RUN_CHARACTERS);
}

/** Who waits for an answer, the longest first: one timer for all of them, as all wait equally long. */
const waiting = new Set<{ readonly since: number; readonly giveUp: () => void }>();
let timer: NodeJS.Timeout | undefined;

/** @throws if the answer does not come in time, or is an error; `noteFault` hears of it first */
export function within<T>(answer: Promise<T>, noteFault?: (error: Error) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      if (!waiting.delete(waiter)) return; // it has been answered, or given up
      noteFault?.(error);
      reject(error);
    };
    const giveUp = () => fail(new Error(`Redis has not answered within ${DEADLINE_MS} ms`));
    const waiter = { since: performance.now(), giveUp };
    waiting.add(waiter);
    timer ??= setTimeout(giveUpOnLate, DEADLINE_MS).unref();
    answer.then((value) => {
      waiting.delete(waiter);
      resolve(value);
    }, fail);
  });
}

function giveUpOnLate(): void {
  timer = undefined;
  const late = performance.now() - DEADLINE_MS;
  for (const waiter of waiting) {
    if (waiter.since > late) {
      timer = setTimeout(giveUpOnLate, waiter.since - late).unref();
      return;
    }
    // After the next look at the socket: where this process has been busy for long, the answer may lie there.
    setImmediate(() => setImmediate(waiter.giveUp));
  }
}
