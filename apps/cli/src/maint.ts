import {
  analyze,
  partitions,
  reindex,
  repack,
  rotateLogFile,
  rotatePostgresLogs,
  vacuum,
  type Course,
  type IndexMaintained,
  type LogsRotated,
  type PartitionsMaintained,
  type TableMaintained,
} from '@studently/operations';
import { loadSettings, OwnerSession, type Settings } from '@studently/platform';
import { SingleBar } from 'cli-progress';
import { InvalidArgumentError, type Command } from 'commander';
import { addClean } from './cache';
import { columns } from './columns';
import { withDatabase } from './with-database';

const FINDINGS = 2;
const INTERRUPTED = 130;
const migrationUrl = (settings: Settings) => settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;

interface Options {
  dryRun?: boolean;
}

/** studently maint vacuum | analyze | reindex | repack | partitions | cache | logs */
export function addMaint(program: Command): void {
  const isForMachines = () => program.opts<{ json?: boolean }>().json === true;
  const say = (json: object, text: string) => process.stdout.write(`${isForMachines() ? JSON.stringify(json) : text}\n`);
  const maint = program
    .command('maint')
    .description(
      'Look after tables, indexes, partitions, cache and logs, while everything runs; each says what was before and after. ' +
        'Connects by DATABASE_MIGRATION_URL, else DATABASE_URL. One at a time; each may be interrupted and run again.',
    );
  const command = (name: string, description: string, example: string) =>
    maint
      .command(name)
      .description(description)
      .option('--dry-run', 'only say what would be done')
      .addHelpText('after', `\nExample:\n  npx studently maint ${name}${example}`);
  const onTables = (
    name: string,
    description: string,
    work: (session: OwnerSession, names: string[], course: Course, signal: AbortSignal) => Promise<TableMaintained[]>,
    argument: [name: string, description: string] = ['[table...]', 'which ones; without, all'],
  ) =>
    command(name, description, ' published_passages')
      .argument(...argument)
      .action(async (names: string[], { dryRun = false }: Options) => {
        const tables = await maintain(isForMachines(), { dryRun }, (session, course, signal) =>
          work(session, names, course, signal),
        );
        say({ dryRun, tables }, tablesText(tables));
      });

  onTables('vacuum', 'free the room of dead rows; in vector indexes also of few of them', vacuum);
  onTables('analyze', 'tell the planner what the tables hold now', analyze);
  onTables('repack', 'write tables anew without their dead room, by pg_repack', repack, ['<table...>', 'which ones']);

  command('reindex', 'build indexes anew that are bloated or invalid, and remove what an interrupted run has left behind', '')
    .argument('[index...]', 'these, whatever their state')
    .option('--all', 'every index')
    .action(async (names: string[], { dryRun = false, all = false }: Options & { all?: boolean }) => {
      const indexes = await maintain(isForMachines(), { dryRun }, (session, course) =>
        reindex(session, names, { ...course, all }),
      );
      say({ dryRun, indexes }, indexesText(indexes));
      if (indexes.some(({ failed }) => failed)) process.exitCode = FINDINGS;
    });

  command('partitions', 'have the partitions of the coming months ready; the audit log is kept by month', '').action(
    async ({ dryRun = false }: Options) => {
      const done = await maintain(isForMachines(), { dryRun }, (session, course) => partitions(session, course));
      say({ dryRun, ...done }, partitionsText(done));
    },
  );

  addClean(program, maint, 'cache');

  command('logs', 'rotate, compress and clear away the logs of PostgreSQL and of this machine’s LOG_FILE, and lose no line', '')
    .option('--keep <days>', 'remove what is older; default LOG_KEEP_DAYS', readDays)
    .action(async ({ dryRun = false, keep }: Options & { keep?: number }) => {
      const { LOG_FILE: file, LOG_KEEP_DAYS } = loadSettings();
      const course = { dryRun, keepDays: keep ?? LOG_KEEP_DAYS };
      const application = file ? await rotateLogFile(file, course) : { remark: 'LOG_FILE is not set: lines go to stdout' };
      const postgres = await maintain(isForMachines(), {}, (session) => rotatePostgresLogs(session, course));
      say({ dryRun, application, postgres }, logsText({ application, postgres }));
    });
}

function readDays(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('It is a number of days, from 1 on.');
  return Number(text);
}

/** Asked to end, it ends the statement that is under way, tells what has been done, and exits with 130. */
async function maintain<T>(
  isQuiet: boolean,
  given: Course,
  work: (session: OwnerSession, course: Course, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const bar = progressBar(isQuiet);
  const interruption = new AbortController();
  const { signal } = interruption;
  return withDatabase(migrationUrl, (target) =>
    OwnerSession.run(target, async (session) => {
      const stop = () => {
        interruption.abort();
        process.exitCode = INTERRUPTED;
        session.cancel().catch(() => undefined); // then it ends with the connection, or by itself
      };
      for (const name of ['SIGINT', 'SIGTERM']) process.on(name, stop);
      try {
        return await work(session, { ...given, tell: bar.tell, isOver: () => signal.aborted }, signal);
      } catch (error) {
        throw signal.aborted ? new Interrupted() : error;
      } finally {
        for (const name of ['SIGINT', 'SIGTERM']) process.off(name, stop);
        bar.stop();
      }
    }),
  );
}

const count = (number: number) => Math.max(0, number).toLocaleString('en');
const change = (before: string, after?: string) => (after === undefined ? before : `${before} → ${after}`);

function bytes(number: number): string {
  if (number < 1024 * 1024) return `${count(Math.round(number / 1024))} kB`;
  return `${(number / 1024 / 1024).toLocaleString('en', { maximumFractionDigits: 1 })} MB`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 0)} s`;
}

function tablesText(tables: TableMaintained[]): string {
  const rows = tables.map(({ table, statement, before, after, milliseconds }) => [
    table.replace(/^public\./, ''),
    change(count(before.deadRows), after && count(after.deadRows)),
    change(bytes(before.bytes), after && bytes(after.bytes)),
    change(bytes(before.indexBytes), after && bytes(after.indexBytes)),
    change(count(before.changedSinceAnalyze), after && count(after.changedSinceAnalyze)),
    after ? seconds(milliseconds) : '',
    statement.replace(/ [^ ]+$/, ''),
  ]);
  return columns(['table', 'dead rows', 'size', 'indexes', 'changed since analyze', 'took', 'by'], rows);
}

function indexesText(indexes: IndexMaintained[]): string {
  if (indexes.length === 0) return 'Nothing to do: no index is invalid, left behind, or worth building anew.';
  const rows = indexes.map(({ index, why, bloat, bytesBefore, bytesAfter, remark, failed, milliseconds }) => [
    index.replace(/^public\./, ''),
    why,
    bloat === undefined ? '' : `× ${bloat.toFixed(1)}`,
    change(bytes(bytesBefore), bytesAfter === undefined ? undefined : bytes(bytesAfter)),
    bytesAfter === undefined ? '' : seconds(milliseconds),
    `${failed ? 'FAILED: ' : ''}${remark ?? ''}`,
  ]);
  return columns(['index', 'why', 'bloat', 'size', 'took', ''], rows);
}

function partitionsText({ before, after, missing }: PartitionsMaintained): string {
  const rows = (after ?? before).map(({ partition, bounds, rows: held, bytes: size }) => [
    partition.replace(/^public\./, ''),
    count(held),
    bytes(size),
    bounds.replace('FOR VALUES ', '').toLowerCase(),
  ]);
  const todo = missing.length === 0 ? 'No month is missing.' : `${after ? 'Made' : 'Missing'}: ${missing.join(', ')}`;
  return `${columns(['partition', 'rows', 'size', 'holds'], rows)}\n${todo}`;
}

function logsText(logs: Record<string, LogsRotated | { remark: string }>): string {
  return Object.entries(logs)
    .map(([name, log]) => {
      if (!('compressed' in log)) return `${name}: ${log.remark}`;
      const { rotatedTo, compressed, removed, remark, bytesBefore, bytesAfter } = log;
      const parts = [
        rotatedTo ? `rotated to ${rotatedTo}` : 'nothing to rotate',
        `${compressed.length} compressed, ${removed.length} removed`,
        change(bytes(bytesBefore), bytes(bytesAfter)),
      ];
      return `${name}: ${[...parts, ...(remark ? [remark] : [])].join('; ')}`;
    })
    .join('\n');
}

class Interrupted extends Error {
  constructor() {
    super('Interrupted. What was under way is undone, what was done stays: run it again to go on.');
  }
}

/** On a terminal only. */
function progressBar(isQuiet: boolean) {
  if (isQuiet || !process.stderr.isTTY) return { tell: () => undefined, stop: () => undefined };
  const bar = new SingleBar({ format: '{bar} {value} of {total} | {step}', gracefulExit: false, barsize: 30 });
  return {
    tell: (step: string, nr: number, of: number) => {
      if (nr === 0) bar.start(of, 0, { step });
      else bar.update(nr, { step });
    },
    stop: () => bar.stop(),
  };
}
