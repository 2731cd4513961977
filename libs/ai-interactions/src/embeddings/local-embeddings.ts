import { extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { EmbeddingsUnavailable } from '../domain/document.errors';
import { padded } from '../domain/vector';
import type { ThreadAnswer } from './embedding-thread';

/** Stands beside each vector that it has made. */
export const LOCAL_MODEL = 'universal-sentence-encoder-lite';

/** A question waits for so many passages at most; more at once are not faster (60 ms each). */
export const BATCH = 4;

/** The model knows the letters of Latin script; of anything else it makes the same meaningless vector. */
const KNOWN_WORD = /[\p{Script=Latin}0-9]/u;

interface Request {
  texts: string[];
  resolve: (vectors: number[][]) => void;
  reject: (error: Error) => void;
}

/**
 * The embedding model that comes with the platform, in a thread of its own: started when it is first needed (0.3 s), ended
 * when nobody needs it (it takes 360 MB), and replaced when it does not answer. Questions go before passages.
 */
@Injectable()
export class LocalEmbeddings implements OnApplicationShutdown {
  // As this file: the compiled one, or in tests the source, of which Node strips the types.
  protected readonly threadFile: string = join(__dirname, `embedding-thread${extname(__filename)}`);
  protected readonly longestAnswerMs: number = 20_000;
  protected readonly longestIdleMs: number = 2 * 60_000;
  private readonly questions: Request[] = [];
  private readonly passages: Request[] = [];
  private asked?: Request;
  private thread?: Worker;
  private timer?: NodeJS.Timeout;

  async onApplicationShutdown(): Promise<void> {
    clearTimeout(this.timer);
    await this.endThread();
  }

  /** @returns undefined if there is no word in it that the model knows. @throws EmbeddingsUnavailable */
  async embedQuestion(text: string): Promise<number[] | undefined> {
    return (await this.embed([text], this.questions))[0];
  }

  /** At most `BATCH` texts. @returns undefined in the place of a text without a word that the model knows. @throws EmbeddingsUnavailable */
  async embedPassages(texts: readonly string[]): Promise<(number[] | undefined)[]> {
    return this.embed(texts, this.passages);
  }

  private async embed(texts: readonly string[], queue: Request[]): Promise<(number[] | undefined)[]> {
    const known = texts.filter((text) => isKnown(text));
    if (known.length === 0) return texts.map(() => undefined);
    const vectors = await new Promise<number[][]>((resolve, reject) => {
      // The model's tokenizer takes nothing but the space for white space.
      queue.push({ texts: known.map((text) => text.trim().replace(/\s+/g, ' ')), resolve, reject });
      this.askNext();
    });
    return texts.map((text) => (isKnown(text) ? padded(vectors.shift()!) : undefined));
  }

  /** One request at a time is in the thread, so that the one to blame is known when it does not come back. */
  private askNext(): void {
    if (this.asked) return;
    clearTimeout(this.timer);
    this.asked = this.questions.shift() ?? this.passages.shift();
    if (this.asked) {
      this.timer = setTimeout(() => this.giveUpThread('EMBEDDING_TIMEOUT'), this.longestAnswerMs);
      this.thread ??= this.startThread();
      this.thread.postMessage(this.asked.texts);
    } else this.timer = setTimeout(() => void this.endThread(), this.longestIdleMs).unref();
  }

  private startThread(): Worker {
    const thread = new Worker(this.threadFile);
    const isCurrent = () => this.thread === thread;
    thread.on('message', (answer: ThreadAnswer) => {
      if (isCurrent()) this.settle('vectors' in answer ? answer.vectors : new EmbeddingsUnavailable('EMBEDDING_FAILED'));
    });
    thread.on('error', () => undefined); // its end is told, too
    thread.on('exit', () => isCurrent() && this.giveUpThread('EMBEDDING_FAILED'));
    return thread;
  }

  private giveUpThread(failure: EmbeddingsUnavailable['failure']): void {
    void this.endThread();
    this.settle(new EmbeddingsUnavailable(failure));
  }

  private settle(result: number[][] | Error): void {
    const request = this.asked;
    this.asked = undefined;
    if (result instanceof Error) request?.reject(result);
    else request?.resolve(result);
    this.askNext();
  }

  private async endThread(): Promise<void> {
    const { thread } = this;
    this.thread = undefined;
    await thread?.terminate();
  }
}

function isKnown(text: string): boolean {
  return KNOWN_WORD.test(text.normalize('NFKC'));
}
