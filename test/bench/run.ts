import 'reflect-metadata';
import { readdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { runProgram, wholeNumber } from '../support/program';
import { BenchContext } from './harness/context';
import { flameGraphOf } from './harness/flame';
import { framesOf, sharesOf, type CpuProfile } from './harness/profile';
import { save } from './harness/save';
import { tableOf } from './harness/table';
import type { Result, Workload } from './harness/workload';

const MIN_RUNS_TO_SAVE = 5;

const SUFFIX = '.bench.ts';
const known = readdirSync(__dirname)
  .filter((file) => file.endsWith(SUFFIX))
  .map((file) => file.replace(SUFFIX, ''))
  .sort();

const HELP = `npm run bench [-- WORKLOAD… [--json] [--seconds N] [--runs N] [--save] [--profile]]

Measures each workload against a limit that is measured in the same run, in turns. Starts the servers
that it needs by itself and leaves nothing running. Exits with 0 whatever the figures are.

  WORKLOAD      ${known.join(', ')}; without one: all
  --json        one JSON object a line
  --seconds N   how long each run takes (5)
  --runs N      how often each side is measured (5)
  --save        writes docs/benchmarks/ (needs at least ${MIN_RUNS_TO_SAVE} runs)
  --profile     says where the CPU time of the platform goes, and draws it as docs/benchmarks/flame-WORKLOAD.svg,
                for a workload that puts HTTP requests or jobs on it; the figures are then not to be trusted
  --help        this

Examples:
  npm run bench -- due cached-read --save
  npm run bench -- cached-read --profile --runs 1
`;

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      seconds: { type: 'string', default: '5' },
      runs: { type: 'string', default: '5' },
    },
  });
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new TypeError(`No such workload: ${unknown.join(', ')}. There are: ${known.join(', ')}`);
  const options = {
    ...values,
    seconds: wholeNumber('seconds', values.seconds, 1, 600),
    runs: wholeNumber('runs', values.runs, 1, 100),
  };
  if (options.save && options.profile) throw new TypeError('--save keeps figures, which --profile spoils: one of them');
  if (options.save && options.runs < MIN_RUNS_TO_SAVE) throw new TypeError(`--save needs --runs ${MIN_RUNS_TO_SAVE} or more`);
  return { ...options, workloads: positionals.length > 0 ? [...new Set(positionals)] : known };
}

let current: BenchContext | undefined;

async function measure(name: string, options: { runs: number; seconds: number; profile: boolean }): Promise<Result> {
  const { run, goal } = (await import(join(__dirname, name + SUFFIX))) as Workload;
  const { runs, seconds } = options;
  const progress = (text: string) => void (process.stderr.isTTY && process.stderr.write(`${text}\n`));
  const loadAverage = loadavg()[0]!;
  progress(`${name} (load average ${loadAverage.toFixed(2)})`);
  current = new BenchContext({ runs, seconds, progress, profiling: options.profile });
  try {
    const { checks, cpuMicros = null, details = {}, notes = [], perRun, curve } = await run(current);
    const [{ value, limit = null, ratio = null, unit }] = checks;
    const met = checks.every((check) => check.met);
    if (options.profile) await saveProfile(name, current.profile);
    return {
      workload: name,
      value,
      limit,
      ratio,
      unit,
      cpuMicros,
      goal,
      met,
      checks,
      details,
      notes,
      loadAverage,
      runs,
      seconds,
      ...(perRun !== undefined && { perRun }),
      ...(curve && { curve }),
    };
  } finally {
    await current.close();
    current = undefined;
  }
}

/** Draws where the time went, and says it in words. */
async function saveProfile(name: string, profile: CpuProfile | undefined): Promise<void> {
  if (!profile) throw new TypeError(`${name} puts no load on a process of the platform: it has no profile`);
  const root = framesOf(profile);
  const file = join(__dirname, `../../docs/benchmarks/flame-${name}.svg`);
  writeFileSync(file, flameGraphOf(root, `${name}: CPU time of the platform`));
  await save([]);
  const shares = sharesOf(root).slice(0, 12);
  const lines = shares.map(([part, share]) => `  ${(100 * share).toFixed(1).padStart(5)} %  ${part}`);
  process.stdout.write(`${name}: where the CPU time goes (${relative(process.cwd(), file)})\n${lines.join('\n')}\n\n`);
}

async function run(options: ReturnType<typeof readOptions>): Promise<number> {
  const results: Result[] = [];
  for (const name of options.workloads) {
    const result = await measure(name, options);
    results.push(result);
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    if (options.save) await save([result]); // what is measured is kept if the next one fails
  }
  if (!options.json) process.stdout.write(tableOf(results));
  return 0;
}

void runProgram({ help: HELP, readOptions, run, close: () => current?.close() });
