import { Worker } from 'node:worker_threads';
import { EmbeddingsUnavailable } from '../domain/document.errors';
import type { ThreadAnswer } from './embedding-thread';

/**
 * A thread with the model in it: started when it is first asked (0.3 s), ended when nobody asks it for long (it takes 350 MB),
 * and replaced when it does not answer. It is asked one thing at a time, so that the text to blame is known.
 */
export class ModelThread {
  private settle?: (result: number[][] | Error) => void;
  private thread?: Worker;
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly file: string,
    private readonly longestAnswerMs: number,
    private readonly longestIdleMs: number,
  ) {}

  get isBusy(): boolean {
    return this.settle !== undefined;
  }

  get isRunning(): boolean {
    return this.thread !== undefined;
  }

  /** @throws EmbeddingsUnavailable */
  async ask(texts: readonly string[]): Promise<number[][]> {
    clearTimeout(this.timer);
    try {
      return await new Promise((resolve, reject) => {
        this.settle = (result) => (result instanceof Error ? reject(result) : resolve(result));
        this.timer = setTimeout(() => this.giveUp('EMBEDDING_TIMEOUT'), this.longestAnswerMs);
        this.thread ??= this.start();
        this.thread.postMessage(texts);
      });
    } finally {
      this.settle = undefined;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.end(), this.longestIdleMs).unref();
    }
  }

  async end(): Promise<void> {
    clearTimeout(this.timer);
    const { thread } = this;
    this.thread = undefined;
    await thread?.terminate();
  }

  private start(): Worker {
    const thread = new Worker(this.file);
    const isCurrent = () => this.thread === thread;
    thread.on('message', (answer: ThreadAnswer) => {
      if (isCurrent()) this.settle?.('vectors' in answer ? answer.vectors : new EmbeddingsUnavailable('EMBEDDING_FAILED'));
    });
    thread.on('error', () => undefined); // its end is told, too
    thread.on('exit', () => isCurrent() && this.giveUp('EMBEDDING_FAILED'));
    return thread;
  }

  private giveUp(failure: EmbeddingsUnavailable['failure']): void {
    void this.end();
    this.settle?.(new EmbeddingsUnavailable(failure));
  }
}
