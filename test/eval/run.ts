import 'reflect-metadata';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { thisMachine, type Machine } from '../bench/harness/machine';
import { runProgram, wholeNumber } from '../support/program';
import { fusedOffline, tune } from './harness/fusion';
import { broken, judgeReported } from './harness/judge';
import { EvalContext, rankingsOf, startPlatform } from './harness/platform';
import type { Rankings } from './harness/rankings';
import { reading, tableOf } from './harness/report';
import { rounded, save } from './harness/save';
import { SOURCES } from './sets';
import { missingPackages } from './sets/judged-set';

const FINDINGS = 2;
const MOST = 2 ** 32 - 1;

const names = SOURCES.map(({ name }) => name);

const HELP = `npm run eval [-- SET… [--json] [--full] [--seed N] [--save] [--keep FILE | --from FILE]]

Judges what the search finds, by words, by meaning and by both, on questions of which other people have said
what answers them. Starts the servers that it needs by itself and leaves nothing running. Exits with 2 if
hybrid search is worse than the better of its parts beyond chance, or on no set better.

  SET          ${names.join(', ')}; without one: all (about ten minutes on two cores)
  --json       one JSON object a line: { set, method, hitAt10, mrr, ndcgAt10, ci95, queries }
  --full       every document and question, which takes hours
  --seed N     which documents and questions are chosen otherwise (1)
  --save       writes docs/evaluation/ (all sets)
  --keep FILE  keeps what was found
  --from FILE  judges what was kept, without servers
  --help       this

Examples:
  npm run eval -- faq
  npm run eval -- --json --keep rankings.json
  npm run eval -- --from rankings.json --save
`;

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      seed: { type: 'string', default: '1' },
      keep: { type: 'string' },
      from: { type: 'string' },
    },
  });
  const unknown = positionals.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new TypeError(`No such set: ${unknown.join(', ')}. There are: ${names.join(', ')}`);
  if (values.from !== undefined && (values.keep !== undefined || positionals.length > 0)) {
    throw new TypeError('--from judges all that was kept: neither sets nor --keep go with it');
  }
  if (values.save && positionals.length > 0) throw new TypeError('--save keeps the figures of all sets: name none');
  const sources = SOURCES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  return { ...values, sources, seed: wholeNumber('seed', values.seed, 0, MOST) };
}

type Options = ReturnType<typeof readOptions>;
/** What was found, where, and among how much. */
type Kept = Pick<Options, 'seed' | 'full'> & { machine: Machine; rankings: Rankings[] };

let current: EvalContext | undefined;

async function collect({ sources, seed, full }: Options): Promise<Kept> {
  const missing = missingPackages(sources);
  if (missing.length > 0) throw new Error(`Missing: ${missing.join(', ')}. To get them: sudo scripts/provision-debian.sh`);
  current = new EvalContext((text) => void (process.stderr.isTTY && process.stderr.write(`${text}\n`)));
  try {
    const platform = await startPlatform(current);
    const rankings: Rankings[] = [];
    for (const source of sources) {
      current.progress(source.name);
      rankings.push(await rankingsOf(current, platform, source.name, await source.read({ seed, full })));
    }
    return { machine: thisMachine(), seed, full, rankings };
  } finally {
    await current.close();
    current = undefined;
  }
}

async function run(options: Options): Promise<number> {
  const kept = options.from === undefined ? await collect(options) : (JSON.parse(readFileSync(options.from, 'utf8')) as Kept);
  if (options.keep !== undefined) writeFileSync(options.keep, JSON.stringify(kept));
  const { machine, rankings, seed, full } = kept;
  if (options.save && rankings.length < SOURCES.length)
    throw new Error('--save keeps the figures of all sets: some were not kept');
  const judged = rankings.map(judgeReported);
  if (options.json) {
    for (const { lines } of judged) for (const line of lines) process.stdout.write(`${JSON.stringify(line, rounded)}\n`);
  } else {
    process.stdout.write(`${tableOf(judged)}\n${judged.map(reading).join('\n')}\n`.replaceAll('**', ''));
  }
  if (options.save) {
    const tuning = tune(rankings);
    await save({ machine, seed, full, judged, tuning, fused: fusedOffline(rankings, tuning) });
  }
  // Of some of the sets nobody has said that one has to be better.
  const faults = broken(judged, { onSomeSet: judged.length === SOURCES.length });
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  return faults.length > 0 ? FINDINGS : 0;
}

void runProgram({ help: HELP, readOptions, run, close: () => current?.close() });
