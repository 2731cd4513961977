import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { runProgram, wholeNumber } from '../support/program';
import { attack, AREAS, loadArea } from './harness/areas';
import { save } from './harness/save';
import { TortureContext } from './harness/torture';

const FINDINGS = 2;
const MOST = 2 ** 32 - 1;

const HELP = `npm run torture -- AREA… [--ops N] [--seed N] [--json] [--save]

Tries to break a promise, very often, on servers that it starts by itself, and leaves nothing running.
Exits with 2 if a promise was broken; the same seed tries the same again.

  AREA       ${AREAS.join(', ')}; or all
  --ops N    how often (each area has its own full number)
  --seed N   of what is tried (today's date, as 20261122)
  --json     one JSON object a line: { area, attempted, violations, seed, figures }
  --save     keeps the result in docs/reliability/
  --help     this

Examples:
  npm run torture -- rls
  npm run torture -- tenancy audit --ops 500 --seed 7 --json
`;

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ops: { type: 'string' },
      seed: { type: 'string', default: new Date().toISOString().slice(0, 10).replaceAll('-', '') },
      json: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const areas = positionals.includes('all') ? AREAS : [...new Set(positionals)];
  const unknown = areas.filter((area) => !AREAS.includes(area));
  if (unknown.length > 0) throw new TypeError(`No such area: ${unknown.join(', ')}. There are: ${AREAS.join(', ')}`);
  if (areas.length === 0 && !values.help) throw new TypeError('Name an area.');
  const ops = values.ops === undefined ? undefined : wholeNumber('ops', values.ops, 1, MOST);
  return { ...values, areas, ops, seed: wholeNumber('seed', values.seed, 0, MOST) };
}

let current: TortureContext | undefined;

async function run(options: ReturnType<typeof readOptions>): Promise<number> {
  let broken = false;
  for (const area of options.areas) {
    const torture = await loadArea(area);
    process.stderr.write(`${area}: ${torture.promise}\n`);
    current = new TortureContext(options.ops ?? torture.ops, options.seed, (text) => {
      if (process.stderr.isTTY) process.stderr.write(`  ${text}\n`);
    });
    const started = Date.now();
    const result = await attack(area, torture, current);
    const seconds = Math.round((Date.now() - started) / 1000);
    for (const finding of current.told) process.stderr.write(`  broken: ${finding}\n`);
    broken ||= result.violations > 0;
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    else {
      const figures = Object.entries(result.figures).map(([name, value]) => `${name} ${Number(value.toFixed(3))}`);
      const counts = `${result.attempted} tried, ${result.violations} broken, seed ${result.seed}, ${seconds} s`;
      process.stdout.write(`${area}: ${[counts, ...figures].join(', ')}\n`);
    }
    if (options.save) await save({ ...result, promise: torture.promise, seconds, at: new Date().toISOString() });
  }
  return broken ? FINDINGS : 0;
}

void runProgram({ help: HELP, readOptions, run, close: () => current?.close() });
