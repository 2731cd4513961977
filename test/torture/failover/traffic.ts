import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient, newLearner, type Answer, type TestLearner } from '../../support/http';
import type { TortureContext } from '../harness/torture';
import type { Asked, Kept, Request } from './ledger';

/** Learners whose client sends again what was not answered, with the same Idempotency-Key, and those whose client does not. */
const CAREFUL = 4;
const CARELESS = 2;
const READERS = 3;

const PAUSE_MS = 50;
const LONGEST_ANSWER_MS = 5000;
const GIVEN_UP_MS = 15_000;
const PAGE = 200;

/** A learner who writes into a chat of their own. */
interface Writer {
  readonly learner: TestLearner;
  readonly chat: string;
  readonly isCareful: boolean;
  readonly asked: Asked[];
  /** What the last acknowledged write has answered. */
  last?: { seq: number; readToken: string };
}

type Told = Request & { what: string; is: string };

/** Learners who write and read through one API, without a pause for anything. */
export class Traffic {
  readonly figures = { acknowledged: 0, retried: 0, neverAcknowledged: 0, reads: 0, readsWithToken: 0, slowestAnswerMs: 0 };
  private requests: Told[] = [];
  private readonly ending = new AbortController();
  private isOver = false;
  private readonly lanes: Promise<void>[];

  private constructor(
    private readonly context: TortureContext,
    private readonly writers: readonly Writer[],
  ) {
    this.lanes = [
      ...writers.map((writer) => this.repeat(() => this.write(writer))),
      ...Array.from({ length: READERS }, () => this.repeat(() => this.read(context.pick(writers)))),
    ];
  }

  static async begin(context: TortureContext, http: HttpClient): Promise<Traffic> {
    const writers: Writer[] = [];
    while (writers.length < CAREFUL + CARELESS) {
      const learner = await newLearner(http);
      const { body } = await learner.http.post('/v1/chats', { title: 'Photosynthesis' });
      writers.push({ learner, chat: body.id, isCareful: writers.length < CAREFUL, asked: [] });
    }
    return new Traffic(context, writers);
  }

  get learners(): string[] {
    return this.writers.map(({ learner }) => learner.id);
  }

  /** What was asked since the last call, and is over. */
  take(): Told[] {
    return this.requests.splice(0);
  }

  /** Each careful learner goes on until the last message is acknowledged. */
  async end(): Promise<void> {
    this.ending.abort();
    await Promise.all(this.lanes);
  }

  /** Nobody goes on, whatever is acknowledged. */
  async stop(): Promise<void> {
    this.isOver = true;
    await this.end();
  }

  /** By writer: what was said, and what is there. Only after the end. */
  async *kept(): AsyncGenerator<{ asked: readonly Asked[]; kept: Kept[] }> {
    for (const { learner, chat, asked, last } of this.writers) {
      const kept: Kept[] = [];
      for (let after: number | null = 0; after !== null;) {
        const { body } = await learner.http.get(`/v1/chats/${chat}?limit=${PAGE}&after=${after}`, { headers: atLeast(last) });
        kept.push(...body.messages);
        after = body.nextAfter;
      }
      yield { asked, kept };
    }
  }

  private async repeat(one: () => Promise<void>): Promise<void> {
    while (!this.ending.signal.aborted) {
      await one();
      await sleep(PAUSE_MS);
    }
  }

  private async write(writer: Writer): Promise<void> {
    const { learner, chat, isCareful, asked } = writer;
    const said: Asked = { content: `${learner.id} ${asked.length + 1}` };
    asked.push(said);
    const headers: Record<string, string> = isCareful ? { 'idempotency-key': said.content.replace(' ', '-') } : {};
    const send = () => learner.http.post(`/v1/chats/${chat}/messages`, { role: 'user', content: said.content }, { headers });
    let answer = await this.ask('a write', send, { isWrite: true });
    while (!answer && isCareful && !this.isOver) {
      this.figures.retried += 1;
      await sleep(2 * PAUSE_MS);
      answer = await this.ask('a write once more', send, { isWrite: true, mayBeUnderWay: true });
    }
    if (!answer) return void (this.figures.neverAcknowledged += 1);
    this.figures.acknowledged += 1;
    said.answer = answer.body;
    writer.last = { seq: answer.body.seq, readToken: answer.headers.get('x-read-token')! };
  }

  /** A list, which is not cached; a chat, which is; or a chat that must be at least as new as the last write. */
  private async read({ learner, chat, last }: Writer): Promise<void> {
    this.figures.reads += 1;
    const way = this.context.below(3);
    if (way === 0) return void (await this.ask('a list', () => learner.http.get('/v1/chats')));
    const token = way === 1 ? undefined : last;
    const headers = atLeast(token);
    const answer = await this.ask('a read', () => learner.http.get(`/v1/chats/${chat}?limit=1`, { headers }));
    if (!answer || !token) return;
    this.figures.readsWithToken += 1;
    const { messageCount } = answer.body;
    this.context.attempt(
      messageCount >= token.seq,
      () => `message ${token.seq} is not there for its token: ${messageCount} are`,
    );
  }

  /** @returns undefined unless it was done */
  private async ask(
    what: string,
    send: () => Promise<Answer>,
    { isWrite = false, mayBeUnderWay = false } = {},
  ): Promise<Answer | undefined> {
    const sent = performance.now();
    const answer = await Promise.race([send().catch(() => undefined), sleep(GIVEN_UP_MS, undefined)]);
    const answered = performance.now();
    const is = answer ? `${answer.status} ${answer.body?.code ?? ''}` : 'no answer';
    const isDone = answer !== undefined && answer.status < 300;
    const isToldToWait =
      Number(answer?.headers.get('retry-after')) >= 1 &&
      (answer?.status === 503 || (mayBeUnderWay && answer?.body.code === 'IDEMPOTENCY_IN_PROGRESS'));
    const tookMs = answered - sent;
    this.context.attempt(
      (isDone || isToldToWait) && tookMs <= LONGEST_ANSWER_MS,
      () => `${what} was answered by ${is} after ${Math.round(tookMs)} ms`,
    );
    this.figures.slowestAnswerMs = Math.max(this.figures.slowestAnswerMs, tookMs);
    this.requests.push({ sent, answered, isWrite, isDone, what, is });
    return isDone ? answer : undefined;
  }
}

const atLeast = (write: Writer['last']): Record<string, string> => (write ? { 'x-read-token': write.readToken } : {});
