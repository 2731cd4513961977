import type { JobToken, Learner } from '../security/actor';

/** After so many a job is given up. */
export const MAX_ATTEMPTS = 5;

/** A job on its way to who does it: ids alone. What it is about is read when it is taken. */
export interface Delivery {
  readonly id: string;
  /** How often the job had been taken when it was handed over: of equal deliveries one is worth something. */
  readonly taken: number;
}

/** As parameters: ids, and how often each was taken. */
export const columnsOf = (deliveries: readonly Delivery[]) => [
  deliveries.map(({ id }) => id),
  deliveries.map(({ taken }) => taken),
];

export interface JobRow extends Delivery {
  learnerId: string | null;
  subjectId: string;
  /** This one included. */
  attempts: number;
}

/** A piece of work that a committed command has left behind, in the hands of who does it. */
export class Job implements JobToken {
  /** Set once its row is gone: what it was for is committed. */
  isDone = false;

  constructor(
    private readonly row: JobRow,
    /** Aborted when the process is to end: who needs long gives up, and the job is handed back. */
    readonly ending: AbortSignal,
  ) {}

  get id(): string {
    return this.row.id;
  }

  get subjectId(): string {
    return this.row.subjectId;
  }

  get attempt(): number {
    return this.row.attempts;
  }

  /** For commands: the learner whose job it is. A command of this actor commits its effect and the end of the job together. */
  get actor(): Learner & { job: JobToken } {
    if (this.row.learnerId === null) throw new Error('This job is nobody’s.');
    return { userId: this.row.learnerId, role: 'STUDENT', job: this };
  }
}

/**
 * Does the job. Dispatch a command of `job.actor`, and the effect happens exactly once, however often the job is delivered.
 * What has its effect elsewhere (a file, a message) is done at least once, and has to be idempotent.
 */
export interface JobHandler {
  run(job: Job): Promise<void>;
  /** After the last attempt, or when the process has died in it: whatever says so. Without it the job becomes a dead letter. */
  giveUp?(job: Job, error: unknown): Promise<void>;
}

/** The row of the job is gone: somebody else has done it, or it was dropped. */
export class JobGone extends Error {
  constructor() {
    super('The job is done already.');
    this.name = 'JobGone';
  }
}

/** The process that worked on the job has died, each time. */
export class Abandoned extends Error {
  readonly code = 'ABANDONED';
}

/** What one may remember of an error: its code, else its name. Its message may hold anything. */
export function failureOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const word = [code, name].find((each): each is string => typeof each === 'string' && /^[A-Za-z]\w{0,63}$/.test(each));
  return word ?? 'Error';
}

/** In the transaction of a job's effect: from here on the job is this transaction's alone. */
export const FINISH = 'delete from jobs where id = $1 returning id';
