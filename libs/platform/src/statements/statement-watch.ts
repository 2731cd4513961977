import { AsyncLocalStorage } from 'node:async_hooks';
import type { PoolClient } from 'pg';
import { fingerprintOf, normalized, planWithoutLiterals } from './literals';

/** A statement that took long, without any value in it. */
export interface SlowStatement {
  at: Date;
  /** The request, or the job, that has sent it; undefined: the platform itself. */
  requestId?: string;
  statement: string;
  sql: string;
  milliseconds: number;
  /** `ok`, or the code of its error. */
  outcome: string;
  /** As auto_explain has told it; it comes a little later than the answer. */
  plan?: unknown;
}

const asking = new AsyncLocalStorage<string>();

/** Whatever `work` asks the database for is asked for this request. */
export const askingFor = <T>(requestId: string, work: () => T): T => asking.run(requestId, work);

/** Of what reaches memory and a row; a plan that is larger is left out. */
const MOST_PLAN = 64 * 1024;

/**
 * Times each statement of a connection, as whoever waits for it sees it. Plans come from auto_explain as notices on the same connection
 * (auto_explain.log_level = notice), so that they need no access to the server's log, and leave no value in it.
 */
export class StatementWatch {
  /** Is told of each, at once. */
  listener?: (slow: SlowStatement) => void;

  /** When the server has last answered: of an embedded one that of all connections, as it answers one at a time. */
  private readonly embedded?: { answeredAt: number };

  constructor(
    private readonly slowMs: number,
    isEmbedded: boolean,
  ) {
    if (isEmbedded) this.embedded = { answeredAt: 0 };
  }

  watch(connection: PoolClient): void {
    const query = connection.query.bind(connection) as (...args: unknown[]) => unknown;
    const server = this.embedded ?? { answeredAt: 0 };
    let [latest, early]: [SlowStatement | undefined, Explained | undefined] = [undefined, undefined];
    const timed = (...args: unknown[]) => {
      const sentAt = performance.now();
      const answer = query(...args);
      if (!(answer instanceof Promise)) return answer;
      const requestId = asking.getStore();
      const note = (error?: unknown) => {
        const now = performance.now();
        const milliseconds = now - Math.max(sentAt, server.answeredAt); // before, it was at another one
        server.answeredAt = now;
        if (milliseconds < this.slowMs) return;
        latest = slowOf(args[0], milliseconds, requestId, error);
        if (early && early.statement === latest.statement) latest.plan = early.plan;
        early = undefined;
        this.listener?.(latest);
      };
      answer.then(() => note(), note);
      return answer;
    };
    Object.assign(connection, { query: timed });
    connection.on('notice', ({ message }) => {
      const explained = message?.startsWith('duration: ') ? readPlan(message) : undefined;
      if (!explained) return;
      if (latest?.statement === explained.statement) latest.plan ??= explained.plan;
      else early = explained;
    });
  }
}

function slowOf(given: unknown, milliseconds: number, requestId: string | undefined, error: unknown): SlowStatement {
  const text = typeof given === 'string' ? given : String((given as { text?: string }).text);
  const { code, name } = (error ?? {}) as { code?: string; name?: string };
  return {
    at: new Date(),
    ...(requestId !== undefined && { requestId }),
    statement: fingerprintOf(text),
    sql: normalized(text),
    milliseconds: Math.round(milliseconds),
    outcome: error === undefined ? 'ok' : (code ?? name ?? 'failure'),
  };
}

interface Explained {
  statement: string;
  plan: unknown;
}

/** `duration: 312.845 ms  plan:` and JSON. @returns undefined for anything else */
function readPlan(message: string): Explained | undefined {
  if (message.length > MOST_PLAN) return undefined;
  try {
    const told = JSON.parse(message.slice(message.indexOf('{'))) as { 'Query Text': string; Plan: unknown };
    return { statement: fingerprintOf(told['Query Text']), plan: planWithoutLiterals(told.Plan) };
  } catch {
    return undefined; // auto_explain.log_format is not json
  }
}
