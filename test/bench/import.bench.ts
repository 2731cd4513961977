import { randomUUID } from 'node:crypto';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { readWordnet } from '@studently/datasets';
import type { ApiProcess } from '../support/api-process';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { withClient } from '../support/servers';
import type { BenchContext } from './harness/context';
import { conversation } from './harness/conversation';
import { interleave, median } from './harness/interleave';
import { startLoad, type LoadRequest } from './harness/load';
import { DATABASE, startApi, startServers, type Platform } from '../support/platform';
import { cpuMicros } from './harness/processes';
import { number } from './harness/table';
import { atLeast, atMost, type Measured } from './harness/workload';
import { assertDurable } from './harness/writes';

const CARDS = 10_000;
const IMPORTS_A_RUN = 2;
/** One request that lasts, for the memory. */
const MANY = 200_000;
/** At least so many, while others read. */
const MEANWHILE = 50_000;
const READS_A_SECOND = 200;
const READERS = 8;

export const name = 'import';
export const goal =
  `${CARDS / 1000}k flashcards ≥ 0.6× COPY into the same indexed table; memory flat over ${MANY / 1000}k lines; ` +
  `p95 of others' cached reads meanwhile ≤ 2× idle`;

/** Flashcards of WordNet as one bulk request, each time for another learner. */
export async function run(context: BenchContext): Promise<Measured> {
  const servers = await startServers(context);
  await assertDurable(servers);
  const api = await startApi(context, servers.settings);
  const cards = await readCards();
  const lines = cards.map((card) => `${JSON.stringify(card)}\n`);
  const { platform, limit } = await interleave(context, {
    platform: () => importAll(api, Buffer.from(lines.slice(0, CARDS).join(''))),
    limit: () => copyAll(context, servers, new HttpClient(api.url), cards.slice(0, CARDS)),
  });
  const bystanders = await readMeanwhile(context, servers, api, lines);
  const memory = await memoryOver(context, api, lines);
  return {
    checks: [
      atLeast('throughput', platform.perSecond, limit.perSecond, 'rows/s', 0.6),
      atMost('memory, second half', memory.second, 'MB', Math.round(1.1 * memory.first), memory.first),
      atMost(
        "p95 of others' reads",
        bystanders.busy.p95,
        'ms',
        Number((2 * bystanders.idle.p95).toFixed(2)),
        bystanders.idle.p95,
      ),
    ],
    cpuMicros: platform.cpuMicros,
    perRun: `${IMPORTS_A_RUN} imports`,
    details: {
      cpuMicrosPerRow: platform.cpuMicros / CARDS,
      serverCpu: platform.serverCpu,
      bytesPerRow: Buffer.byteLength(lines.slice(0, CARDS).join('')) / CARDS,
      memoryStart: memory.start,
      memoryFirstHalf: memory.first,
      memorySecondHalf: memory.second,
      memoryEnd: memory.end,
      memoryRowsPerSecond: memory.perSecond,
      idleP50: bystanders.idle.p50,
      idleP95: bystanders.idle.p95,
      busyP50: bystanders.busy.p50,
      busyP95: bystanders.busy.p95,
      busyP99: bystanders.busy.p99,
      busyRowsPerSecond: bystanders.busy.rowsPerSecond,
      walBytesPerRow: bystanders.busy.walPerRow,
    },
    notes: [
      `The API process takes ${number(platform.cpuMicros / CARDS)} µs CPU a row and keeps ${number(platform.serverCpu)} of a core busy`,
      `over one request of ${MANY.toLocaleString('en-US')} lines (${number(memory.perSecond)} rows/s) its RSS is ` +
        `${number(memory.start)} MB before, at most ${number(memory.first)} MB in the first half, ${number(memory.second)} MB in the ` +
        `second, ${number(memory.end)} MB after`,
      `while ${number(bystanders.busy.rowsPerSecond)} rows/s are imported, ${READS_A_SECOND} cached reads a second of others take ` +
        `${number(bystanders.busy.p50)} ms (p50), ${number(bystanders.busy.p95)} ms (p95) and ${number(bystanders.busy.p99)} ms (p99); ` +
        `idle it is ${number(bystanders.idle.p50)}, ${number(bystanders.idle.p95)} and ${number(bystanders.idle.p99)} ms`,
      `a row costs ${number(bystanders.busy.walPerRow)} bytes of WAL`,
    ],
  };
}

interface Card {
  type: string;
  content: Record<string, unknown>;
  tags: string[];
}

async function readCards(): Promise<Card[]> {
  const cards: Card[] = [];
  for await (const line of readWordnet()) {
    if ('code' in line) throw new Error(line.detail);
    const { type, content, tags = [] } = line.value;
    cards.push({ type, content, tags });
  }
  return cards;
}

/** Sends a body of lines as a learner that is new. @returns how many rows there are now, and for how long it took */
async function importInto(api: ApiProcess, learner: TestLearner, body: Readable): Promise<{ rows: number; seconds: number }> {
  const headers = { authorization: `Bearer ${learner.token}`, 'content-type': 'application/x-ndjson' };
  const start = performance.now();
  const text = await new Promise<string>((resolve, reject) => {
    const sending = request(`${api.url}/v1/study/items/bulk`, { method: 'POST', headers }, (response) => {
      response
        .setEncoding('utf8')
        .toArray()
        .then((parts) => resolve(parts.join('')), reject);
    });
    sending.on('error', reject);
    body.pipe(sending);
  });
  const { accepted, rejectedCount } = JSON.parse(text) as { accepted: number; rejectedCount: number };
  if (rejectedCount !== 0) throw new Error(`The import answered ${text.slice(0, 500)}`);
  return { rows: accepted, seconds: (performance.now() - start) / 1000 };
}

async function importAll(api: ApiProcess, body: Buffer) {
  let rows = 0;
  let seconds = 0;
  let cpu = 0;
  for (let index = 0; index < IMPORTS_A_RUN; index++) {
    const learner = await newLearner(new HttpClient(api.url));
    const before = cpuMicros(api.pid);
    const done = await importInto(api, learner, Readable.from([body]));
    cpu += cpuMicros(api.pid) - before;
    rows += done.rows;
    seconds += done.seconds;
  }
  if (rows !== IMPORTS_A_RUN * CARDS) throw new Error(`${rows} rows have come`);
  return { perSecond: rows / seconds, cpuMicros: cpu / IMPORTS_A_RUN, serverCpu: cpu / 1e6 / seconds };
}

/** What PostgreSQL does by itself: the same rows out of a file, in one transaction, with every index, constraint and trigger. */
async function copyAll(context: BenchContext, { postgres }: Platform, http: HttpClient, cards: readonly Card[]) {
  const file = join(context.folder, 'cards.copy');
  let milliseconds = 0;
  for (let index = 0; index < IMPORTS_A_RUN; index++) {
    const learner = await newLearner(http);
    const now = new Date().toISOString();
    const rows = cards.map(({ type, content, tags }) => [learner.id, randomUUID(), type, content, tags, now, now]);
    writeFileSync(file, rows.map(copyLine).join(''));
    chmodSync(file, 0o644); // PostgreSQL runs as another user
    await withClient(postgres.url(DATABASE), async (client) => {
      const start = performance.now();
      const { rowCount } = await client.query(
        `copy study_items (user_id, id, type, content, tags, created_at, next_review) from '${file}'`,
      );
      milliseconds += performance.now() - start;
      if (rowCount !== cards.length) throw new Error(`${rowCount} rows have been copied`);
    });
  }
  rmSync(file);
  return { perSecond: (IMPORTS_A_RUN * cards.length) / (milliseconds / 1000) };
}

/** A row in the text format of COPY. @see https://www.postgresql.org/docs/15/sql-copy.html */
function copyLine(row: readonly unknown[]): string {
  const fields = row.map((field) => {
    if (Array.isArray(field)) return `{${field.map((element) => JSON.stringify(element)).join(',')}}`;
    return typeof field === 'string' ? field : JSON.stringify(field);
  });
  return `${fields.map((field) => field.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t')).join('\t')}\n`;
}

/** Other learners read what is cached, at a fixed rate: alone, and while an import goes on from before to after. */
async function readMeanwhile(context: BenchContext, { postgres }: Platform, api: ApiProcess, lines: readonly string[]) {
  const http = new HttpClient(api.url);
  const reader = await newLearner(http);
  const chat = await reader.http.post('/v1/chats', { title: 'Homework', messages: conversation(50) });
  const headers = { authorization: `Bearer ${reader.token}` };
  const requests: LoadRequest[] = [{ method: 'GET', path: `/v1/chats/${chat.body.id}`, headers }];
  const put = await startLoad(context);
  const read = (seconds: number) =>
    put(api.pid, { url: api.url, connections: READERS, seconds, requests, rate: READS_A_SECOND });
  return withClient(postgres.url(DATABASE), async (client) => {
    const wal = async () =>
      Number((await client.query<{ at: string }>(`select pg_current_wal_lsn() - '0/0' as at`)).rows[0]!.at);
    return interleave(context, {
      idle: read,
      busy: async (seconds) => {
        const learner = await newLearner(http);
        let over = false;
        const before = await wal();
        const importing = importInto(api, learner, Readable.from(endless(lines, (sent) => over && sent >= MEANWHILE)));
        const figures = await read(seconds);
        over = true;
        const { rows, seconds: took } = await importing;
        return { ...figures, rowsPerSecond: rows / took, walPerRow: ((await wal()) - before) / rows };
      },
    });
  });
}

/** The RSS of the API's process while it takes one request of many lines, in MB. */
async function memoryOver(context: BenchContext, api: ApiProcess, lines: readonly string[]) {
  const learner = await newLearner(new HttpClient(api.url));
  const start = rssOf(api.pid);
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(rssOf(api.pid)), 20);
  const body = Readable.from(endless(lines, (sent) => sent >= MANY));
  const { rows, seconds } = await importInto(api, learner, body).finally(() => clearInterval(timer));
  const half = samples.length >> 1;
  context.progress(`  RSS ${Math.round(start)} MB before, ${Math.round(median(samples))} MB in the middle`);
  return {
    start,
    first: Math.max(...samples.slice(0, half)),
    second: Math.max(...samples.slice(half)),
    end: rssOf(api.pid),
    perSecond: rows / seconds,
  };
}

/** Lines again and again until it is enough, some hundred at a time. */
function* endless(lines: readonly string[], enough: (sent: number) => boolean): Generator<string> {
  const some = 500;
  for (let sent = 0; !enough(sent); sent += some) {
    yield Array.from({ length: some }, (_, index) => lines[(sent + index) % lines.length]!).join('');
  }
}

function rssOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
