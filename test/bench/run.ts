import 'reflect-metadata';
import { readdirSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchContext } from './harness/context';
import { save } from './harness/save';
import { tableOf } from './harness/table';
import type { Result, Workload } from './harness/workload';

const FAULT = 1;
const USAGE = 64; // EX_USAGE of sysexits.h
const MIN_RUNS_TO_SAVE = 5;

const SUFFIX = '.bench.ts';
const known = readdirSync(__dirname)
  .filter((file) => file.endsWith(SUFFIX))
  .map((file) => file.replace(SUFFIX, ''))
  .sort();

const HELP = `npm run bench [-- WORKLOAD… [--json] [--seconds N] [--runs N] [--save]]

Measures each workload against a limit that is measured in the same run, in turns. Starts the servers
that it needs by itself and leaves nothing running. Exits with 0 whatever the figures are.

  WORKLOAD      ${known.join(', ')}; without one: all
  --json        one JSON object a line
  --seconds N   how long each run takes (5)
  --runs N      how often each side is measured (5)
  --save        writes docs/benchmarks/ (needs at least ${MIN_RUNS_TO_SAVE} runs)
  --help        this
`;

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      seconds: { type: 'string', default: '5' },
      runs: { type: 'string', default: '5' },
    },
  });
  const count = (name: 'seconds' | 'runs', max: number) => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new TypeError(`--${name} takes a whole number from 1 to ${max}`);
  };
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new TypeError(`No such workload: ${unknown.join(', ')}. There are: ${known.join(', ')}`);
  const options = { ...values, seconds: count('seconds', 600), runs: count('runs', 100) };
  if (options.save && options.runs < MIN_RUNS_TO_SAVE) throw new TypeError(`--save needs --runs ${MIN_RUNS_TO_SAVE} or more`);
  return { ...options, workloads: positionals.length > 0 ? [...new Set(positionals)] : known };
}

let current: BenchContext | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  const number = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[signal];
  process.on(signal, () => {
    interrupted = true;
    void (current?.close() ?? Promise.resolve()).then(() => process.exit(128 + number));
  });
}
let interrupted = false;

async function measure(name: string, options: { runs: number; seconds: number }): Promise<Result> {
  const { run, goal } = (await import(join(__dirname, name + SUFFIX))) as Workload;
  const { runs, seconds } = options;
  const progress = (text: string) => void (process.stderr.isTTY && process.stderr.write(`${text}\n`));
  const loadAverage = loadavg()[0]!;
  progress(`${name} (load average ${loadAverage.toFixed(2)})`);
  current = new BenchContext({ runs, seconds, progress });
  try {
    const { checks, cpuMicros = null, details = {}, notes = [], perRun } = await run(current);
    const [{ value, limit = null, ratio = null, unit }] = checks;
    const met = checks.every((check) => check.met);
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
    };
  } finally {
    await current.close();
    current = undefined;
  }
}

async function main(): Promise<number> {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${HELP}`);
    return USAGE;
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const results: Result[] = [];
  for (const name of options.workloads) {
    const result = await measure(name, options);
    results.push(result);
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  if (!options.json) process.stdout.write(tableOf(results));
  if (options.save) await save(results);
  return 0;
}

main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    if (interrupted) return; // what is being ended complains
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = FAULT;
  },
);
