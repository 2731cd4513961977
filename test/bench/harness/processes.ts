import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** Ticks of /proc/<pid>/stat: 100 a second on every Linux that people run. */
const TICK_MICROS = 10_000;

/** CPU time that a process has used so far, user and system, all of its threads. */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold spaces
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}

/** A TypeScript file as a process of its own that answers messages; it ends with us, even if we are killed. */
export class Helper {
  private constructor(private readonly child: ChildProcess) {}

  static async start(file: string): Promise<Helper> {
    const helper = new Helper(
      fork(file, { execArgv: ['-r', '@swc-node/register'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    );
    await helper.ask('ready?');
    return helper;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** @throws what the helper says has gone wrong */
  async ask<T>(question: string | object): Promise<T> {
    const over = new AbortController();
    const options = { signal: over.signal };
    const answered = once(this.child, 'message', options) as Promise<[{ answer: T } | { error: string }]>;
    const ended = once(this.child, 'exit', options).then((): [{ error: string }] => [{ error: 'A helper process has ended.' }]);
    this.child.send(question);
    const [reply] = await Promise.race([answered, ended]);
    answered.catch(() => undefined);
    ended.catch(() => undefined);
    over.abort();
    if ('error' in reply) throw new Error(reply.error);
    return reply.answer;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    if (this.hasEnded) return;
    this.child.kill(signal);
    await once(this.child, 'exit');
  }
}

/** In a helper: answers each message. */
export function answer<Q, A>(respond: (question: Q) => Promise<A>): void {
  process.on('disconnect', () => process.exit());
  process.on('SIGINT', () => undefined); // Ctrl-C reaches the whole group; our parent ends us in order
  process.on('message', (question: Q | 'ready?') => {
    const answering = question === 'ready?' ? Promise.resolve(undefined) : respond(question);
    answering.then(
      (result) => process.send!({ answer: result }),
      (error: unknown) => process.send!({ error: error instanceof Error ? error.message : String(error) }),
    );
  });
}

/** A program that runs to its end. */
export class Program {
  private readonly child: ChildProcess;
  /** What it prints; rejects with what it complains about. */
  readonly output: Promise<string>;

  constructor(file: string, args: string[]) {
    this.child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let complaint = '';
    this.child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()));
    this.child.stderr!.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    this.output = once(this.child, 'close').then(([code]) => {
      if (code !== 0) throw new Error(`${file} ended with ${code}:\n${complaint}`);
      return output;
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  async stop(): Promise<void> {
    this.child.kill();
    await this.output.catch(() => undefined);
  }
}
