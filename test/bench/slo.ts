import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { load as readYaml } from 'js-yaml';
import { z } from 'zod';
import { HttpClient, newLearner } from '../support/http';
import { DATABASE, startApi, startServers, startWorker } from '../support/platform';
import { runProgram, wholeNumber } from '../support/program';
import { withClient } from '../support/servers';
import { BenchContext } from './harness/context';
import { conversation } from './harness/conversation';
import { startLoad, type LoadRequest, type ServerFigures } from './harness/load';
import { writePassages, writeQuestions } from './harness/passages';
import { requestOf } from './harness/searches';

const FINDINGS = 2;
const FILE = join(__dirname, '../../slo.yaml');
/** Of one kind; who has none free waits, and that counts. */
const CONNECTIONS = 50;
const WARM_UP_SECONDS = 2;
const PASSAGES = { own: 10_000, others: { learners: 9, passages: 10_000 } };
const QUESTIONS = 32;
const PERCENTILES = ['p50', 'p95', 'p99'] as const;

const KINDS = ['cached-read', 'point-read', 'command', 'search'] as const;
const Promised = z.strictObject({ 'a-second': z.number().positive(), p50: z.number(), p95: z.number(), p99: z.number() });
const Promises = z.strictObject({ requests: z.record(z.enum(KINDS), Promised) });

const HELP = `npm run slo [-- --seconds N] [--json]

Asks the platform for what slo.yaml names, all at once and so often as it says, on servers that it starts by itself.
Exits with 2 where an answer takes longer than is promised there.

  --seconds N   how long it asks (30)
  --json        one JSON object
  --help        this
`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '30' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return { ...values, seconds: wholeNumber('seconds', values.seconds, 1, 600) };
}

let context: BenchContext | undefined;

async function run({ seconds, json }: ReturnType<typeof readOptions>): Promise<number> {
  const { requests: promised } = Promises.parse(readYaml(readFileSync(FILE, 'utf8')));
  const progress = (text: string) => void (process.stderr.isTTY && process.stderr.write(`${text}\n`));
  context = new BenchContext({ runs: 1, seconds, progress });
  try {
    const { api, requests } = await prepare(
      context,
      Math.ceil(promised['point-read']['a-second'] * (seconds + WARM_UP_SECONDS)) + 10,
    );
    const puts = await Promise.all(KINDS.map(() => startLoad(context!)));
    const ask = (span: number) =>
      Promise.all(
        KINDS.map((kind, nr) => {
          const rate = promised[kind]['a-second'];
          // Each card is read once: what the warm-up has read is cached.
          const due = kind === 'point-read' ? requests[kind].splice(0, Math.ceil(rate * span) + 2) : requests[kind];
          return puts[nr]!(api.pid, { url: api.url, connections: CONNECTIONS, seconds: span, requests: due, rate });
        }),
      );
    await ask(WARM_UP_SECONDS);
    progress(`asking for ${seconds} s`);
    const figures = await ask(seconds);
    const lines = KINDS.flatMap((kind, nr) => PERCENTILES.map((name) => judge(kind, name, figures[nr]!, promised[kind][name])));
    if (json) process.stdout.write(`${JSON.stringify(lines)}\n`);
    else for (const line of lines) process.stdout.write(inWords(line));
    return lines.every(({ met }) => met) ? 0 : FINDINGS;
  } finally {
    await context.close();
  }
}

interface Judged {
  kind: string;
  percentile: string;
  milliseconds: number;
  promised: number;
  met: boolean;
}

function judge(kind: string, name: (typeof PERCENTILES)[number], figures: ServerFigures, promised: number): Judged {
  const milliseconds = Number(figures[name].toFixed(2));
  return { kind, percentile: name, milliseconds, promised, met: milliseconds <= promised };
}

const inWords = ({ kind, percentile, milliseconds, promised, met }: Judged) =>
  `${met ? 'kept  ' : 'BROKEN'}  ${kind.padEnd(12)} ${percentile}  ${milliseconds.toFixed(2).padStart(8)} ms, promised ${promised}\n`;

/** Servers, learners, and what is asked of them. */
async function prepare(bench: BenchContext, cards: number) {
  const { postgres, settings } = await startServers(bench);
  const [api] = await Promise.all([startApi(bench, settings), startWorker(bench, settings)]);
  const [reader, scholar] = [await newLearner(new HttpClient(api.url)), await newLearner(new HttpClient(api.url))];
  const headers = { authorization: `Bearer ${reader.token}` };
  const chat = await reader.http.post('/v1/chats', { title: 'Homework', messages: conversation(50) });
  const ids = Array.from({ length: cards }, () => randomUUID());
  const lines = ids.map((id) => JSON.stringify({ id, type: 'flashcard', content: { front: 'bonjour', back: 'good morning' } }));
  const written = await reader.http.post('/v1/study/items/bulk', lines.join('\n'), {
    headers: { 'content-type': 'application/x-ndjson' },
  });
  if (written.body.accepted !== cards) throw new Error(`The cards are not there: ${written.text.slice(0, 300)}`);
  bench.progress('  writing passages');
  const questions = await withClient(postgres.url(DATABASE), async (client) => {
    await writePassages(client, [{ userId: scholar.id, passages: PASSAGES.own }], PASSAGES.others);
    const asked = await writeQuestions(client, QUESTIONS, PASSAGES.own);
    await client.query('checkpoint');
    return asked;
  });
  const requests: Record<(typeof KINDS)[number], LoadRequest[]> = {
    'cached-read': [{ method: 'GET', path: `/v1/chats/${chat.body.id}`, headers }],
    'point-read': ids.map((id) => ({ method: 'GET', path: `/v1/study/items/${id}`, headers })),
    command: [
      {
        method: 'POST',
        path: '/v1/progress',
        headers: { ...headers, 'content-type': 'application/json' },
        body: '{"category":"algebra","score":50}',
      },
    ],
    search: questions.map((question) => requestOf(scholar, question)),
  };
  return { api, requests };
}

void runProgram({ help: HELP, readOptions, run, close: () => context?.close() });
