import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { newLearner, type Answer, type HttpClient } from '../../support/http';
import type { Write } from './checker';
import { KINDS, type Belongings, type Kind } from './kinds';
import type { Node, Stage } from './stage';

const LEARNERS = 12;
const LANES = 16;
/** Between two writes of one lane, at most: whoever starts again needs some of the machine. */
const THINKING_MS = 120;
/** So many wait for no second answer: what they asked for may have been done, once, or not. */
const GIVEN_UP = 0.05;
/** So many do not hear an answer, though nothing has died, and ask again. */
const UNHEARD = 0.02;
/** Whoever is not answered asks again after so long at most. */
const PAUSE_MS = 100;
const LONGEST_ANSWER_MS = 10_000;

type Writer = Belongings & { token: string };

/** Learners who write at any process, and ask again with the same key until they are told that it is done. */
export class Traffic {
  readonly writes: Write[] = [];
  acknowledged = 0;
  /** Sent again. */
  retries = 0;
  /** Of those, had been done before. */
  replays = 0;
  /** Something is broken for good: nobody asks any more. */
  isOver = false;
  /** When the latest request was sent that somebody has acknowledged, by each process. */
  private readonly latest = new Map<Node, number>();
  private readonly writers: Writer[] = [];

  private constructor(private readonly stage: Stage) {}

  static async prepare(stage: Stage): Promise<Traffic> {
    const traffic = new Traffic(stage);
    const [node] = stage.nodes;
    for (let nr = 0; nr < LEARNERS; nr++) {
      const { token } = await newLearner(node!.http);
      const writer: Writer = { token, chats: [], items: [] };
      for (const name of ['chat', 'chat', 'item', 'item']) {
        await traffic.write(
          writer,
          KINDS.find((kind) => kind.name === name)!,
          Infinity,
        );
      }
      traffic.writers.push(writer);
    }
    return traffic;
  }

  /** Goes on until it is told to stop. */
  async flow(ended: AbortSignal): Promise<void> {
    const { context } = this.stage;
    const choices = KINDS.flatMap((kind) => Array.from({ length: kind.weight }, () => kind));
    const lane = async () => {
      while (!ended.aborted) {
        const patience = context.random() < GIVEN_UP ? 1 : Infinity;
        await this.write(context.pick(this.writers), context.pick(choices), patience);
        await sleep(context.random() * THINKING_MS);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  /** Whether a request has been acknowledged that was sent after that; by this process, or by any. */
  hasAcknowledgedSince(time: number, node?: Node): boolean {
    return [...this.latest].some(([each, sent]) => sent >= time && (node === undefined || each === node));
  }

  private async write(writer: Writer, kind: Kind, patience: number): Promise<void> {
    const { context, nodes } = this.stage;
    const name = randomUUID();
    const write: Write = { kind: kind.name, name };
    this.writes.push(write);
    const { path, body } = kind.request(name, (of) => context.pick(writer[of]));
    const headers = { 'x-request-id': name, 'idempotency-key': name };
    for (let attempt = 1; attempt <= patience && !this.isOver; attempt++) {
      if (attempt > 1) this.retries += 1;
      const node = context.pick(nodes);
      const sent = performance.now();
      const answer = await this.answerOf(node.http.as(writer.token), path, body, headers);
      if (!answer) {
        await sleep(context.random() * PAUSE_MS);
        continue;
      }
      write.id = kind.idOf(answer.body);
      if (answer.headers.has('idempotent-replayed')) this.replays += 1;
      this.latest.set(node, Math.max(sent, this.latest.get(node) ?? 0));
      this.acknowledged += 1;
      if (kind.name === 'chat') writer.chats.push(write.id);
      if (kind.name === 'item') writer.items.push(write.id);
      return;
    }
  }

  /** @returns undefined if there was none, or that it cannot be told yet */
  private async answerOf(
    http: HttpClient,
    path: string,
    body: object,
    headers: Record<string, string>,
  ): Promise<Answer | undefined> {
    const { context } = this.stage;
    const patience = context.random() < UNHEARD ? context.below(20) : LONGEST_ANSWER_MS;
    const answer = await http.post(path, body, { headers, signal: AbortSignal.timeout(patience) }).catch(() => undefined);
    if (!answer || answer.status < 300) return answer;
    const isToBeAskedAgain = answer.status === 503 || answer.body?.code === 'IDEMPOTENCY_IN_PROGRESS';
    if (!isToBeAskedAgain) throw new Error(`POST ${path} is answered with ${answer.status}: ${answer.text}`);
    return undefined;
  }
}
