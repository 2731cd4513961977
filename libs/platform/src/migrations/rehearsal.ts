import type { Client } from 'pg';
import { builtIndex, isConcurrent, isValidation, type MigrationFiles, type Script } from './migration-files';
import { MigrationStopped, ScriptRunner } from './script-runner';
import { statementsIn, type Statement } from './sql-statements';

export interface Lock {
  readonly table: string;
  /** As in pg_locks: `AccessExclusiveLock` */
  readonly mode: string;
}

/** What a statement does to tables that were there before its step. */
export interface StatementFacts {
  readonly file: string;
  readonly line: number;
  readonly code: string;
  /** Counted from 1. */
  readonly step: number;
  readonly kind: 'transaction' | 'validation' | 'concurrent';
  /** That it takes, beyond those for reading; they are held until the end of the step. */
  readonly locks: readonly Lock[];
  readonly rewrites: readonly string[];
  /** Tables that it reads as a whole. */
  readonly scans: readonly string[];
}

/** A table that was there before the step, as it is now. */
interface Table {
  name: string;
  /** Of its data: another one after a rewrite. null: it has none, or is gone */
  file: number | null;
  scans: number;
  /** Of our locks on it. */
  modes: string[];
}

const THERE = `
  select c.oid::int8::float8 as oid, c.relname as name from pg_class c
  where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
    and c.relname not like 'studently\\_migrations%'
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`;
const STATE = `
  select was.name, pg_relation_filenode(c.oid)::int8::float8 as file, coalesce(pg_stat_get_xact_numscans(c.oid), 0)::float8 as scans,
    array(select mode from pg_locks l where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.relation = was.oid and mode <> 'AccessShareLock') as modes
  from unnest($1::oid[], $2::text[]) with ordinality was (oid, name, nr) left join pg_class c on c.oid = was.oid order by nr`;

/** Runs migrations on an empty copy of the schema and asks PostgreSQL itself what each statement has locked, rewritten and read. */
export class Rehearsal {
  /** @param client the superuser of a database that nobody else uses and that is thrown away */
  constructor(
    private readonly client: Client,
    private readonly files: MigrationFiles,
  ) {}

  /** Makes the schema that the real database has. */
  async prepare(executed: readonly string[], contracted: (name: string) => boolean): Promise<void> {
    await this.client.query(this.files.read('bootstrap.sql'));
    const runner = new ScriptRunner(this.client, () => undefined);
    const run = (name: string, part: 'up' | 'contract') =>
      runner.run(this.files.script(name, part), 'unlimited', { done: 0, note: () => 'select', finish: 'select' });
    for (const name of executed.filter((each) => this.files.has(each, 'up'))) {
      await run(name, 'up');
      if (this.files.has(name, 'contract') && contracted(name)) await run(name, 'contract');
    }
  }

  async script(script: Script): Promise<StatementFacts[]> {
    const facts: StatementFacts[] = [];
    for (const [index, step] of script.steps.entries()) {
      const names = step.forEach ? (await this.client.query<Record<string, unknown>>(step.forEach)).rows : [{}];
      const texts = step.forEach ? names.map((row) => step.text.replaceAll('{}', String(Object.values(row)[0]))) : [step.text];
      const statements = texts.flatMap((text) => statementsIn(text, step.line));
      const place = { file: script.file, step: index + 1 };
      if (statements.length > 0 && statements.every((statement) => isConcurrent([statement]))) {
        for (const statement of statements) facts.push({ ...place, ...(await this.concurrent(script.file, statement)) });
      } else facts.push(...(await this.transaction(script.file, statements)).map((each) => ({ ...place, ...each })));
    }
    return facts;
  }

  private async concurrent(file: string, { text, code, line }: Statement): Promise<Omit<StatementFacts, 'file' | 'step'>> {
    const index = builtIndex({ text, code, line }) ?? code.split(' ').at(-1)!;
    const tableOf = async () => {
      const { rows } = await this.client.query<{ table: string }>(
        `select indrelid::regclass::text as table from pg_index where indexrelid = to_regclass($1)`,
        [index],
      );
      return rows[0]?.table;
    };
    const before = await tableOf();
    await this.client.query('set role studently_owner');
    await this.run(file, { text, code, line });
    await this.client.query('reset role');
    const table = before ?? (await tableOf());
    const locks = table ? [{ table, mode: 'ShareUpdateExclusiveLock' }] : [];
    return { code, line, kind: 'concurrent', locks, rewrites: [], scans: [] };
  }

  private async transaction(file: string, statements: readonly Statement[]): Promise<Omit<StatementFacts, 'file' | 'step'>[]> {
    const kind = isValidation(statements) ? 'validation' : 'transaction';
    const facts: Omit<StatementFacts, 'file' | 'step'>[] = [];
    await this.client.query('begin; set local role studently_owner');
    const there = (await this.client.query<{ oid: number; name: string }>(THERE)).rows;
    const look = async () =>
      (await this.client.query<Table>(STATE, [there.map(({ oid }) => oid), there.map(({ name }) => name)])).rows;
    let before = await look();
    for (const { text, code, line } of statements) {
      await this.run(file, { text, code, line });
      const after = await look();
      const changes = after.map((table, index) => ({ ...table, was: before[index]! }));
      facts.push({
        code,
        line,
        kind,
        locks: changes.flatMap(({ name, modes, was }) =>
          modes.filter((mode) => !was.modes.includes(mode)).map((mode) => ({ table: name, mode })),
        ),
        rewrites: changes.filter(({ file: now, was }) => now !== null && now !== was.file).map(({ name }) => name),
        scans: changes.filter(({ scans, was }) => scans > was.scans).map(({ name }) => name),
      });
      before = after;
    }
    await this.client.query('reset role; commit');
    return facts;
  }

  private async run(file: string, { text, line }: Statement): Promise<void> {
    await this.client.query(text).catch((error: unknown) => {
      throw new MigrationStopped(
        'MIGRATION_FAILED',
        `${file}:${line}: ${(error as Error).message}, in a rehearsal on an empty copy.`,
      );
    });
  }
}
