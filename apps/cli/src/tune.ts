import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import {
  bytesOf,
  ConfigurationError,
  LEAST_MEMORY,
  loadSettings,
  readWishes,
  render,
  tune,
  WORKLOADS,
  WRITTEN_BY,
  type Machine,
  type Workload,
} from '@studently/platform';
import { InvalidArgumentError, Option, type Command } from 'commander';

interface Options {
  memory?: number;
  cpus?: number;
  workload: Workload;
  processes?: number;
  config?: string;
  out?: string;
  dryRun?: boolean;
  json?: boolean;
}

/** studently tune */
export function addTune(program: Command): void {
  program
    .command('tune')
    .description(
      'postgresql.conf and redis.conf for a machine and what it has to do, with the reason beside each setting. ' +
        'The pools are those of DATABASE_POOL_SIZE.',
    )
    .option(
      '--memory <size>',
      'what PostgreSQL and Redis may have together: 8GB (default: all of this machine, or of this container)',
      readSize,
    )
    .option('--cpus <number>', 'of that machine (default: of this one)', readCount(1024))
    .addOption(new Option('--workload <name>', 'what is done most').choices(WORKLOADS).default('mixed'))
    .option(
      '--processes <number>',
      'API processes and workers together (default: one for each CPU, and a worker)',
      readCount(1000),
    )
    .option('--config <file>', 'JSON with settings of your own ({"workMem":"32MB"}), which the others follow')
    .option('--out <folder>', 'write postgresql.conf, redis.conf and tuning.json there, instead of printing them')
    .option('--dry-run', 'with --out: only say what would be written')
    .addHelpText('after', '\nExample:\n  npx studently tune --memory 8GB --cpus 4 --workload search --out /etc/studently')
    .action((_: Options, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { memory = memoryHere(), cpus = availableParallelism(), workload, processes = cpus + 1 } = options;
      const machine: Machine = { memory, cpus, workload, processes, poolSize: loadSettings().DATABASE_POOL_SIZE };
      const wishes = options.config === undefined ? {} : readWishes(readJson(options.config));
      const tuning = tune(machine, wishes);
      const files = Object.entries(render(machine, tuning, wishes));
      if (options.out === undefined) {
        const text = files.slice(0, 2).map(([name, content]) => `# ${name}\n${content}`);
        process.stdout.write(options.json ? `${JSON.stringify({ machine, tuning })}\n` : text.join('\n'));
        return;
      }
      const written = writeAll(options.out, files, options.dryRun);
      const verb = options.dryRun ? 'would be written' : 'written';
      const lines = written.map(({ file, change }) => `${file}: ${change === 'unchanged' ? change : verb}\n`);
      process.stdout.write(options.json ? `${JSON.stringify({ machine, tuning, written })}\n` : lines.join(''));
    });
}

/** Each at once or not at all. A file that somebody else has written is left alone, and so are all. */
function writeAll(folder: string, files: [name: string, content: string][], dryRun = false) {
  const planned = files.map(([name, content]) => {
    const file = join(folder, name);
    const before = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
    if (before !== undefined && name.endsWith('.conf') && !before.startsWith(WRITTEN_BY)) {
      throw new ConfigurationError(
        'TUNING_FOREIGN_FILE',
        `${file} was not written by tune: move it away, or choose another folder with --out.`,
      );
    }
    return { file, content, change: before === content ? ('unchanged' as const) : ('written' as const) };
  });
  if (!dryRun) {
    mkdirSync(folder, { recursive: true });
    for (const { file, content } of planned.filter(({ change }) => change === 'written')) {
      writeFileSync(`${file}.new`, content, { mode: 0o644 });
      renameSync(`${file}.new`, file);
    }
  }
  return planned.map(({ file, change }) => ({ file, change }));
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const why = error instanceof SyntaxError ? 'it is no JSON' : (error as Error).message;
    throw new ConfigurationError('TUNING_INVALID', `The settings of --config cannot be read: ${why}.`);
  }
}

function readSize(text: string): number {
  const bytes = bytesOf(text);
  if (bytes === undefined || bytes < LEAST_MEMORY)
    throw new InvalidArgumentError('It is a size of 512MB at least, such as 8GB.');
  return bytes;
}

const readCount =
  (most: number) =>
  (text: string): number => {
    const count = Number(text);
    if (!/^\d+$/.test(text) || count < 1 || count > most)
      throw new InvalidArgumentError(`It is a whole number from 1 to ${most}.`);
    return count;
  };

/** Bytes: of this machine, or of the container that this process is in. */
const memoryHere = () => Math.min(totalmem(), process.constrainedMemory() || Infinity);
