import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ImportDocuments, readNewDocument } from '@studently/ai-interactions';
import { FindUser } from '@studently/identity';
import { DomainError, readNdjson, takeInChunks, type BulkResult } from '@studently/platform';
import { ImportStudyItems, readStudyCsv, readStudyNdjson } from '@studently/study';
import { SingleBar } from 'cli-progress';
import { InvalidArgumentError, type Command } from 'commander';
import { countries, file, foldoc, html, markdown, postgresqlDoc, upTo, wordnet, type Source } from './import-sources';
import { withContexts } from './with-contexts';

const FINDINGS = 2;
const INTERRUPTED = 130; // 128 + SIGINT, as shells have it

interface Options {
  user: string;
  limit?: number;
  batch?: string;
  json?: boolean;
}

/** studently import wordnet | countries | markdown | html | foldoc | postgresql-doc | csv | ndjson */
export function addImport(program: Command): void {
  const imports = program
    .command('import')
    .description('Bring cards and documents to a learner. Run again, it goes on where it stopped, and doubles nothing.')
    .addHelpText('after', '\nExample:\n  npx studently import wordnet --user ada@example.org --limit 1000');
  const add = (usage: string, description: string, example: string) =>
    imports
      .command(usage)
      .description(description)
      .requiredOption('--user <email or id>', 'the learner who gets it')
      .option('--limit <n>', 'so many lines at most', readLimit)
      .option('--batch <id>', 'what makes this import one: under the same id no line is taken twice')
      .addHelpText('after', `\nExample:\n  ${example}`);

  add('wordnet', 'flashcards of WordNet: a term, and what it means', 'npx studently import wordnet --user ada@example.org')
    // Not a function of the arguments that commander hands over.
    .action((_: Options, command: Command) => run(command, wordnet));
  add(
    'countries',
    'flashcards on every country: capital, currency, languages, neighbours …',
    'npx studently import countries --user ada@example.org --limit 100',
  ).action((_: Options, command: Command) => run(command, countries));
  add(
    'markdown <path>',
    'a Markdown file, or all of a folder, as documents',
    'npx studently import markdown node_modules/fastify/docs --user ada@example.org',
  ).action((path: string, _: Options, command: Command) => run(command, () => markdown(path)));
  add(
    'html <path>',
    'an HTML file, or all of a folder, as documents: their text, without scripts and navigation',
    'npx studently import html site --user ada@example.org',
  ).action((path: string, _: Options, command: Command) => run(command, () => html(path)));
  add(
    'foldoc',
    'the Free On-line Dictionary of Computing as documents (Debian package dict-foldoc)',
    'npx studently import foldoc --user ada@example.org --limit 500',
  ).action((_: Options, command: Command) => run(command, foldoc));
  add(
    'postgresql-doc',
    'the manual of PostgreSQL as documents (Debian package postgresql-doc-15)',
    'npx studently import postgresql-doc --user ada@example.org --limit 100',
  ).action((_: Options, command: Command) => run(command, postgresqlDoc));
  add(
    'csv <file>',
    'study items; the first line names the columns: type (flashcard), tags (a;b), and what the content holds, e.g. front, back; - is the standard input',
    'npx studently import csv cards.csv --user ada@example.org',
  ).action((path: string, _: Options, command: Command) =>
    run(command, (signal) => file(path, signal, readStudyCsv, ImportStudyItems)),
  );
  add(
    'ndjson <file>',
    'study items, one JSON object a line, as POST /v1/study/items/bulk takes them; - is the standard input',
    'zcat items.ndjson.gz | npx studently import ndjson - --user ada@example.org --batch items-1',
  )
    .option('--documents', 'documents instead, as POST /v1/documents/bulk takes them')
    .action((path: string, { documents }: { documents?: boolean }, command: Command) =>
      documents
        ? run(command, (signal) => file(path, signal, (bytes) => readNdjson(bytes, readNewDocument), ImportDocuments))
        : run(command, (signal) => file(path, signal, readStudyNdjson, ImportStudyItems)),
    );
}

function readLimit(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('It is a number from 1 on.');
  return Number(text);
}

async function run<T>(command: Command, open: (signal: AbortSignal) => Source<T> | Promise<Source<T>>): Promise<void> {
  const options = command.optsWithGlobals<Options>();
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort()); // a second one ends the process at once
  const source = await openOrRefuse(command, () => open(interrupted.signal));
  const batch = options.batch ?? source.batch;
  const result = await withContexts(async (app) => {
    const actor = await app.get(QueryBus).execute(new FindUser(options.user));
    if (!actor) throw new Error('No user has this address or id.');
    const commands = app.get(CommandBus);
    const progress = showProgress(source, options);
    try {
      const lines = upTo(source.lines, options.limit ?? Infinity, interrupted.signal);
      const imported = await takeInChunks(
        lines,
        (chunk) => commands.execute(new source.command(actor, chunk, batch)),
        progress.update,
      );
      return imported.value;
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      throw new Error(`${error.message} ${howToGoOn(source, batch)}`, { cause: error });
    } finally {
      progress.end();
    }
  });
  const isInterrupted = interrupted.signal.aborted;
  if (options.json) process.stdout.write(`${JSON.stringify({ ...result, interrupted: isInterrupted })}\n`);
  else process.stdout.write(`${inWords(result)}\n${isInterrupted ? `Interrupted. ${howToGoOn(source, batch)}\n` : ''}`);
  if (isInterrupted) process.exitCode = INTERRUPTED;
  else if (result.rejectedCount > 0) process.exitCode = FINDINGS;
}

/** A path that cannot be read is a fault of usage. */
async function openOrRefuse<T>(command: Command, open: () => T | Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    return command.error(`error: ${error.message}`);
  }
}

function inWords({ accepted, rejected, rejectedCount }: BulkResult): string {
  const count = (n: number) => n.toLocaleString('en');
  const [first] = rejected;
  const why = first ? ` (first: line ${first.line}, ${first.code}: ${first.detail})` : '';
  return `${count(accepted)} accepted, ${count(rejectedCount)} rejected${why}`;
}

const howToGoOn = ({ isRepeatable }: Pick<Source<never>, 'isRepeatable'>, batch: string | undefined) =>
  isRepeatable || batch !== undefined
    ? 'What is accepted stays: the same command goes on from there.'
    : 'What is accepted stays. Only with --batch could it go on from there.';

/** On a terminal only. */
function showProgress({ extent }: Pick<Source<never>, 'extent'>, { limit, json }: Options) {
  if (json || !process.stderr.isTTY) return { update: () => undefined, end: () => undefined };
  const known = extent ? '{bar} {percentage}% | {lines} lines | {eta_formatted} left' : '{lines} lines';
  const bar = new SingleBar({ format: known, gracefulExit: false, barsize: 30 });
  const byLines = limit !== undefined || !extent?.position;
  bar.start(limit ?? extent?.total ?? 0, 0, { lines: 0 });
  return {
    update: (lines: number) => bar.update(byLines ? lines : extent.position!(), { lines: lines.toLocaleString('en') }),
    end: () => bar.stop(),
  };
}
