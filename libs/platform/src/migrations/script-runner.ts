import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { builtIndex, isConcurrent, isValidation, type Script, type Step } from './migration-files';
import { statementsIn, type Statement } from './sql-statements';

/**
 * Who asks for a lock that the application's statements do not go together with stands before all of them, so waiting costs them as much
 * as holding. The wait for a lock, and all of a transaction with its waits, end after so many ms.
 */
export const LOCK_WAIT_MS = 100;
export const LOCK_BUDGET_MS = 180;

/** So long a step is tried again, at longer and longer intervals. */
const PATIENCE_MS = 60_000;
const [SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS] = [50, 2000];

/** lock_not_available, query_canceled (by its timeout), deadlock_detected */
const BUSY = ['55P03', '57014', '40P01'];

export const isBusy = (error: unknown): boolean => BUSY.includes((error as { code?: string }).code ?? '');

/** Whoever waits for the table while an index is built beside it (ANALYZE does) may be waited for as well; then one of the two has to begin anew. */
const MOST_DEADLOCKS = 5;
const isDeadlock = (error: unknown): boolean => (error as { code?: string }).code === '40P01';

/** Something could not be done now; what to do is said. Nothing is half done, and the same command goes on with it. */
export class MigrationStopped extends Error {
  constructor(
    readonly code:
      'MIGRATION_LOCKED' | 'MIGRATION_FAILED' | 'MIGRATION_UNFINISHED' | 'MIGRATION_NOT_APPLIED' | 'BACKFILL_UNFINISHED',
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

/** `limited`: the application is in use, so no lock may stand in its way for long. `unlimited`: nobody else is there. */
export type Haste = 'limited' | 'unlimited';

/** Tells whoever waits in front of a terminal. */
export type Tell = (text: string) => void;

/** How far a script is. The note of a step is committed with the step. */
export interface Notes {
  readonly done: number;
  /** SQL that notes it. */
  note(steps: number): string;
  /** SQL that notes that all is done. */
  finish: string;
}

/** A pause before the next of several attempts, in ms: twice as long each time, and never as long as somebody else's. */
export const pauseBefore = (attempt: number): number =>
  Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);

/** Locks that the application's statements wait for, on a table that was there before: they read and write. */
const IN_THE_WAY = `
  select from pg_locks where pid = pg_backend_pid() and locktype = 'relation' and relation = any (current_setting('studently.tables')::oid[])
    and mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`;
const REMEMBER_TABLES = `select set_config('studently.began', clock_timestamp()::text, true), set_config('studently.tables',
  (select array_agg(oid)::text from pg_class where relkind in ('r', 'p', 'm', 'v')), true)`;

/** Before a statement: its timeout is what is left since the one began that took the first lock in the way, waiting for it included. */
const LIMIT_TIME = `
  select set_config('studently.held_since', held, true), set_config('studently.began', clock_timestamp()::text, true),
    set_config('statement_timeout', greatest(1, ${LOCK_BUDGET_MS} - case when held = '' then 0
      else extract(epoch from clock_timestamp() - held::timestamptz) * 1000 end)::int::text, true)
  from (
    select case when current_setting('studently.held_since', true) <> '' then current_setting('studently.held_since')
      when exists (${IN_THE_WAY}) then current_setting('studently.began') else '' end as held
  ) clock`;

/**
 * The text of one transaction as studently_owner, which the server goes through without asking us anything in between: a client
 * that hangs holds no lock. `patient`: the wait for a lock is limited, the rest is not.
 */
export function transactionOf(statements: readonly string[], haste: Haste | 'patient', afterwards: string): string {
  const limits = {
    limited: `set local lock_timeout = ${LOCK_WAIT_MS}; set local synchronous_commit = off; ${REMEMBER_TABLES}; `,
    patient: `set local lock_timeout = ${LOCK_WAIT_MS}; `,
    unlimited: '',
  }[haste];
  const each = statements.map((statement) => `${haste === 'limited' ? `${LIMIT_TIME};\n` : ''}${statement};\n`);
  return `begin; ${limits}set local role studently_owner;\n${each.join('')}reset role; ${afterwards}; commit`;
}

/** Does the steps of a script one after the other. Killed at any line and run again, it goes on with the step that it was in. */
export class ScriptRunner {
  constructor(
    private readonly client: Client,
    private readonly tell: Tell,
  ) {}

  /** @throws MigrationStopped `MIGRATION_LOCKED`, `MIGRATION_FAILED` */
  async run(script: Script, haste: Haste, notes: Notes): Promise<void> {
    const { steps } = script;
    const isDone = script.doneWhen !== undefined && (await this.answersTo(script.doneWhen))[0] === true;
    if (isDone || notes.done >= steps.length) {
      await this.client.query(notes.finish);
      return;
    }
    for (const [index, step] of steps.entries()) {
      if (index < notes.done) continue;
      const isLast = index === steps.length - 1;
      if (steps.length > 1) this.tell(`${script.file}: step ${index + 1} of ${steps.length}`);
      const pace = haste === 'limited' && script.exceptions.length > 0 ? 'patient' : haste;
      await this.runStep(script.file, step, pace, isLast ? notes.finish : notes.note(index + 1));
    }
  }

  private async runStep(file: string, step: Step, pace: Haste | 'patient', note: string): Promise<void> {
    const statements = await this.statementsOf(step);
    if (statements.length > 0 && statements.every((statement) => isConcurrent([statement]))) {
      for (const statement of statements) await this.runConcurrently(file, statement);
      await this.client.query(note);
      return;
    }
    const isLong = pace === 'limited' && isValidation(statements);
    const texts = statements.map(({ text }) => text);
    const transaction = transactionOf(texts, isLong ? 'patient' : pace, note);
    const first = statements[0]?.line ?? step.line;
    await this.untilDone(`${file}:${first}`, async () => {
      await this.client.query(transaction).catch(async (error: unknown) => {
        await this.client.query('rollback').catch(() => undefined);
        throw error;
      });
    }).catch((error: unknown) => {
      if (error instanceof MigrationStopped) throw error;
      const line = statementAt(error, transaction, statements);
      throw failed(line ? `${file}:${line}` : `the step that begins at ${file}:${first}`, error);
    });
  }

  private async statementsOf(step: Step): Promise<Statement[]> {
    if (!step.forEach) return statementsIn(step.text, step.line);
    const answers = await this.answersTo(step.forEach);
    return answers.flatMap((answer) => statementsIn(step.text.replaceAll('{}', String(answer)), step.line));
  }

  /** Again and again while others stand in the way. @throws MigrationStopped `MIGRATION_LOCKED` */
  private async untilDone(what: string, attempt: () => Promise<void>): Promise<void> {
    const started = Date.now();
    for (let count = 1; ; count++) {
      try {
        return await attempt();
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (Date.now() - started > PATIENCE_MS) throw await this.lockedOut(what, count);
        if (count === 10) this.tell(`${what}: in the way of others, or they in its; trying again`);
      }
      await sleep(pauseBefore(count));
    }
  }

  /** Names who is in the way, as far as it can be seen: transactions that take longer than any of ours. */
  private async lockedOut(what: string, attempts: number): Promise<MigrationStopped> {
    const { rows } = await this.client.query<{ pid: number; seconds: number; what: string }>(
      `select pid, round(extract(epoch from clock_timestamp() - xact_start))::int as seconds, coalesce(state, backend_type) as what
       from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and xact_start < clock_timestamp() - interval '1 s'
       order by xact_start limit 3`,
    );
    const others = rows.map((row) => `process ${row.pid} (${row.what}, for ${row.seconds} s)`).join(', ');
    return new MigrationStopped(
      'MIGRATION_LOCKED',
      `${what} was tried ${attempts} times and did not get and give back its locks within ${LOCK_BUDGET_MS} ms. Nothing of this step was changed. ` +
        (others
          ? `Long transactions: ${others}. End them, or wait, and run it again.`
          : 'Run it again when there is less to do.'),
    );
  }

  /**
   * Builds or drops an index beside those who write. An invalid one that was left behind is dropped first; one that is there is not built again.
   * It waits for older transactions, which nobody waits for.
   */
  private async runConcurrently(file: string, statement: Statement): Promise<void> {
    const index = builtIndex(statement);
    for (let attempt = 1; ; attempt++) {
      const isValid = index && (await this.validityOf(index));
      if (isValid) return;
      await this.client.query('set role studently_owner; set max_parallel_maintenance_workers = 0'); // CVE-2026-3172 of pgvector
      try {
        if (isValid === false) await this.client.query(`drop index concurrently ${index}`);
        await this.client.query(statement.text);
        return;
      } catch (error) {
        if (isDeadlock(error) && attempt < MOST_DEADLOCKS) continue;
        if (index && (await this.validityOf(index)) === false) await this.client.query(`drop index concurrently ${index}`);
        throw failed(`${file}:${statement.line}`, error);
      } finally {
        await this.client.query('reset role; reset max_parallel_maintenance_workers');
      }
    }
  }

  /** undefined: it is not there */
  private async validityOf(index: string): Promise<boolean | undefined> {
    const [answer] = await this.answersTo('select indisvalid from pg_index where indexrelid = to_regclass($1)', [index]);
    return answer as boolean | undefined;
  }

  private async answersTo(query: string, values: unknown[] = []): Promise<unknown[]> {
    const { rows } = await this.client.query<Record<string, unknown>>(query, values);
    return rows.map((row) => Object.values(row)[0]);
  }
}

function failed(where: string, error: unknown): MigrationStopped {
  return new MigrationStopped(
    'MIGRATION_FAILED',
    `${where}: ${(error as Error).message}. The steps before are done; this one changed nothing. Mend the cause and run it again.`,
  );
}

/** Whose line it is that the server points at. */
function statementAt(error: unknown, transaction: string, statements: readonly Statement[]): number | undefined {
  const position = Number((error as { position?: string }).position);
  if (!position) return undefined;
  let at = 0;
  for (const { text, line } of statements) {
    at = transaction.indexOf(text, at) + text.length;
    if (position <= at) return line;
  }
  return undefined;
}
