import { extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LoginBusy } from '../domain/identity.errors';
import type { ThreadAnswer, ThreadQuestion } from './hashing-thread';

/** So many wait for each thread at most: 25 ms each, so nobody for longer than some two seconds, unless the machine is busy with something else. */
const WAITING_FOR_EACH = 64;
const LONGEST_WAIT_MS = 4000;

interface Job {
  question: ThreadQuestion;
  since: number;
  resolve: (answer: ThreadAnswer) => void;
  reject: (error: Error) => void;
}

/**
 * argon2id in threads of its own, as many as there are cores: more would only share them, and take 19 MiB each. They start
 * when they are first needed. A job costs a core 20 ms; who asks while too many wait is told so at once, and who has waited for too long when its turn comes.
 */
export class HashingThreads {
  // As this file: the compiled one, or in tests the source, of which Node strips the types.
  private readonly file = join(__dirname, `hashing-thread${extname(__filename)}`);
  private readonly idle: Worker[] = [];
  private readonly asked = new Map<Worker, Job>();
  private readonly waiting: Job[] = [];
  private ending = false;

  constructor(
    private readonly count: number,
    private readonly mostWaiting = count * WAITING_FOR_EACH,
    private readonly longestWaitMs = LONGEST_WAIT_MS,
  ) {}

  /** @throws LoginBusy if too many wait already, it waits for too long, or the thread has died of it */
  async ask(question: ThreadQuestion): Promise<ThreadAnswer> {
    if (this.ending || this.waiting.length >= this.mostWaiting) throw new LoginBusy();
    return new Promise((resolve, reject) => {
      this.waiting.push({ question, since: performance.now(), resolve, reject });
      this.askNext();
    });
  }

  async end(): Promise<void> {
    this.ending = true;
    for (const job of this.waiting.splice(0)) job.reject(new LoginBusy());
    await Promise.all([...this.idle.splice(0), ...this.asked.keys()].map((thread) => thread.terminate()));
  }

  private askNext(): void {
    while (this.waiting.length > 0 && !this.ending) {
      if (performance.now() - this.waiting[0]!.since > this.longestWaitMs) {
        this.waiting.shift()!.reject(new LoginBusy());
        continue;
      }
      const thread = this.idle.pop() ?? this.start();
      if (!thread) return;
      const job = this.waiting.shift()!;
      this.asked.set(thread, job);
      thread.ref(); // a process does not end before it has its answer, but an idle thread keeps none alive
      thread.postMessage(job.question);
    }
  }

  private start(): Worker | undefined {
    if (this.asked.size >= this.count) return undefined;
    const thread = new Worker(this.file);
    thread.on('message', (answer: ThreadAnswer) => {
      this.take(thread)?.resolve(answer);
      thread.unref();
      this.idle.push(thread);
      this.askNext();
    });
    thread.on('error', () => undefined); // its end is told, too
    thread.on('exit', () => {
      if (this.idle.includes(thread)) this.idle.splice(this.idle.indexOf(thread), 1);
      this.take(thread)?.reject(new LoginBusy());
      this.askNext();
    });
    return thread;
  }

  private take(thread: Worker): Job | undefined {
    const job = this.asked.get(thread);
    this.asked.delete(thread);
    return job;
  }
}
