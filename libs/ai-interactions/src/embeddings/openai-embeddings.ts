import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { backOffMs, Lane, LaneFull } from '@studently/platform';
import type { Histogram } from 'prom-client';
import { EmbeddingsAway, EmbeddingsUnavailable, type EmbeddingFailure } from '../domain/document.errors';
import { padded } from '../domain/vector';
import { Embeddings } from './embeddings';
import { CallFault, isTimeout, OpenAiEndpoint, type CallOutcome, type EndpointSettings } from './openai-endpoint';

export const EMBEDDING_CALLS = 'studently_embedding_call_seconds';
export type CallTimes = Histogram<'purpose' | 'outcome'>;

/** How it is asked: what somebody waits for, and what is done in the background. */
interface Way {
  readonly purpose: 'question' | 'passages';
  readonly lane: Lane;
  readonly attempts: number;
  readonly longestMs: number;
}

/** All its other outcomes are about the texts. */
const OF_ALL: Partial<Record<CallOutcome, string>> = {
  busy: 'has too much to do',
  unreachable: 'cannot be reached',
  denied: 'refuses the key, or does not know the model or the address',
  timeout: 'does not answer',
};
const FAILURES: Partial<Record<CallOutcome, EmbeddingFailure>> = {
  refused: 'EMBEDDING_REFUSED',
  malformed: 'EMBEDDING_MALFORMED',
  'wrong-dimension': 'EMBEDDING_WRONG_DIMENSION',
  timeout: 'EMBEDDING_TIMEOUT',
};
const PASSING = new Set<CallOutcome>(['busy', 'unreachable', 'broken']);

/** No model fails on it because of what it says. */
const HARMLESS = 'water';

/** A model behind OpenAI's protocol. What it cannot do now is tried again; what it can do with no text is no text's fault. */
export class OpenAiEmbeddings extends Embeddings {
  readonly model: string;
  /** It reads thousands; but a passage of several subjects is near to none of them. */
  readonly maxWords = 200;
  readonly batch = 64;
  protected readonly question: Way;
  protected readonly passages: Way;
  private readonly logger = new Logger(OpenAiEmbeddings.name);
  private readonly endpoint: OpenAiEndpoint;
  private isTold = false;

  constructor(
    settings: EndpointSettings,
    private readonly times: CallTimes,
    longestPassagesMs = 30_000,
  ) {
    super();
    const { model, dimensions } = settings;
    this.model = dimensions === undefined ? model : `${model}@${dimensions}`;
    this.endpoint = new OpenAiEndpoint(settings);
    this.question = { purpose: 'question', lane: new Lane(8, 64, 500), attempts: 2, longestMs: 4000 };
    this.passages = { purpose: 'passages', lane: new Lane(4, 64, Infinity), attempts: 3, longestMs: longestPassagesMs };
  }

  async embedQuestion(text: string): Promise<number[] | undefined> {
    if (!saysSomething(text)) return undefined;
    try {
      const [vector] = await this.ask([text], this.question, AbortSignal.timeout(this.question.longestMs));
      return padded(vector!);
    } catch (error) {
      throw this.unavailable(faultOf(error), this.question);
    }
  }

  async embedPassages(texts: readonly string[], ending?: AbortSignal): Promise<(number[] | undefined)[]> {
    const asked = texts.filter(saysSomething);
    if (asked.length === 0) return texts.map(() => undefined);
    try {
      const vectors = await this.ask(asked, this.passages, ending);
      return texts.map((text) => (saysSomething(text) ? padded(vectors.shift()!) : undefined));
    } catch (error) {
      ending?.throwIfAborted();
      const fault = faultOf(error);
      throw this.unavailable(fault, this.passages, await this.isOfAll(fault, ending));
    }
  }

  private async ask(texts: readonly string[], way: Way, ending?: AbortSignal): Promise<number[][]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await way.lane.run(() => this.call(texts, way, ending), ending);
      } catch (error) {
        const { outcome } = faultOf(error);
        if (error instanceof LaneFull || !PASSING.has(outcome) || attempt === way.attempts) throw error;
        if (!(outcome in OF_ALL)) await sleep(backOffMs(attempt), undefined, { signal: ending }); // else the lane waits
      }
    }
  }

  private async call(texts: readonly string[], way: Way, ending?: AbortSignal): Promise<number[][]> {
    const end = this.times.startTimer({ purpose: way.purpose });
    const timeout = AbortSignal.timeout(way.longestMs);
    try {
      const vectors = await this.endpoint.embed(texts, ending ? AbortSignal.any([timeout, ending]) : timeout);
      way.lane.open();
      this.tell(undefined);
      end({ outcome: 'ok' });
      return vectors;
    } catch (error) {
      if (!(error instanceof CallFault)) throw error;
      end({ outcome: error.outcome });
      this.tell(error.outcome);
      if (error.outcome in OF_ALL) way.lane.close(error.retryAfterMs);
      throw error;
    }
  }

  /** Whether the texts are not to blame. A text that lets a server fail or hang looks like a server that is away, until another one is asked for. */
  private async isOfAll({ outcome }: CallFault, ending?: AbortSignal): Promise<boolean> {
    if (outcome in OF_ALL && outcome !== 'timeout') return true;
    const probe = this.ask([HARMLESS], { ...this.passages, attempts: 1 }, ending);
    return probe.then(
      () => false,
      () => true,
    );
  }

  private unavailable({ outcome }: CallFault, { lane }: Way, isOfAll = true): Error {
    const isAway = isOfAll && (outcome in OF_ALL || outcome === 'broken');
    if (isAway) return new EmbeddingsAway(Math.max(1, Math.ceil(lane.closedForMs / 1000)));
    return new EmbeddingsUnavailable(FAILURES[outcome] ?? 'EMBEDDING_FAILED', isOfAll);
  }

  private tell(outcome: CallOutcome | undefined): void {
    const fault = outcome && OF_ALL[outcome];
    if (fault && !this.isTold)
      this.logger.warn(`The embeddings endpoint ${fault}: documents wait, and are found by their words`);
    if (!outcome && this.isTold) this.logger.log('The embeddings endpoint is back');
    if (!outcome || fault) this.isTold = fault !== undefined;
  }
}

/** Who waits in vain waits for something that is busy. */
function faultOf(error: unknown): CallFault {
  if (error instanceof CallFault) return error;
  if (error instanceof LaneFull) return new CallFault('busy');
  if (isTimeout(error)) return new CallFault('timeout');
  throw error;
}

const saysSomething = (text: string) => /[\p{L}\p{N}]/u.test(text);
