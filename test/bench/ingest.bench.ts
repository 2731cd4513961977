import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiProcess } from '../support/api-process';
import { HttpClient, newLearner } from '../support/http';
import { DATABASE, startApi, startServers, type Platform } from '../support/platform';
import { withClient } from '../support/servers';
import type { BenchContext } from './harness/context';
import { interleave } from './harness/interleave';
import { cpuMicros } from './harness/processes';
import { number } from './harness/table';
import { atLeast, type Measured } from './harness/workload';
import { assertDurable } from './harness/writes';

const DOCUMENTS = 2000;
const DIMENSIONS = 1536;
const TABLES = ['documents', 'document_passages', 'passage_vectors'];

export const name = 'ingest';
export const goal = `${DOCUMENTS} documents that bring their vectors ≥ 0.5× COPY of the same rows into the same indexed tables`;

/** Documents with vectors as one bulk request, each time for another learner. */
export async function run(context: BenchContext): Promise<Measured> {
  const servers = await startServers(context);
  await assertDurable(servers);
  const api = await startApi(context, servers.settings);
  const body = Array.from({ length: DOCUMENTS }, (_, nr) => `${JSON.stringify(documentOf(nr))}\n`).join('');
  const folder = join(context.folder, 'ingest');
  mkdirSync(folder);
  chmodSync(context.folder, 0o755);
  chmodSync(folder, 0o777); // PostgreSQL runs as another user
  const { platform, limit } = await interleave(context, {
    platform: () => ingest(api, body),
    limit: () => copied(servers, api, folder),
  });
  rmSync(folder, { recursive: true });
  return {
    checks: [atLeast('throughput', platform.perSecond, limit.perSecond, 'documents/s', 0.5)],
    cpuMicros: platform.cpuMicros,
    perRun: 'one request',
    details: { cpuMicrosPerDocument: platform.cpuMicros / DOCUMENTS, bytesPerDocument: Buffer.byteLength(body) / DOCUMENTS },
    notes: [
      `The API process takes ${number(platform.cpuMicros / DOCUMENTS)} µs CPU a document, of which a line has ` +
        `${number(Buffer.byteLength(body) / DOCUMENTS / 1024)} KB`,
    ],
  };
}

/** Numbers as a model gives them: eight digits. */
function documentOf(nr: number) {
  const embedding = Array.from({ length: DIMENSIONS }, (_, at) => Number(Math.sin(nr * DIMENSIONS + at).toFixed(8)));
  return {
    type: 'lecture',
    title: `Lecture ${nr}`,
    content: `Mitosis makes two cells, meiosis four. Lecture ${nr}.`,
    embedding,
  };
}

async function ingest(api: ApiProcess, body: string) {
  const learner = await newLearner(new HttpClient(api.url));
  const [cpu, start] = [cpuMicros(api.pid), performance.now()];
  const response = await fetch(`${api.url}/v1/documents/bulk`, {
    method: 'POST',
    headers: { authorization: `Bearer ${learner.token}`, 'content-type': 'application/x-ndjson' },
    body,
  });
  const answer = (await response.json()) as { accepted: number };
  const seconds = (performance.now() - start) / 1000;
  if (answer.accepted !== DOCUMENTS) throw new Error(`The import answered ${JSON.stringify(answer).slice(0, 500)}`);
  return { perSecond: DOCUMENTS / seconds, cpuMicros: cpuMicros(api.pid) - cpu };
}

/** What PostgreSQL does by itself: the rows of some learner for another one, out of files, in one transaction. */
async function copied({ postgres }: Platform, api: ApiProcess, folder: string) {
  const learner = await newLearner(new HttpClient(api.url));
  return withClient(postgres.url(DATABASE), async (client) => {
    const columns = new Map<string, string[]>();
    for (const table of TABLES) {
      const { rows } = await client.query<{ name: string }>(
        `select attname as name from pg_attribute
         where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attname <> 'user_id' order by attnum`,
        [table],
      );
      columns.set(
        table,
        rows.map((row) => row.name),
      );
      await client.query(
        `copy (select '${learner.id}'::uuid, ${columns.get(table)!.join(', ')} from ${table}
           where user_id = (select user_id from documents where user_id <> '${learner.id}' limit 1)) to '${join(folder, table)}'`,
      );
    }
    const start = performance.now();
    await client.query('begin');
    for (const table of TABLES)
      await client.query(`copy ${table} (user_id, ${columns.get(table)!.join(', ')}) from '${join(folder, table)}'`);
    await client.query('commit');
    const seconds = (performance.now() - start) / 1000;
    const [row] = (await client.query('select count(*)::int as rows from passage_vectors where user_id = $1', [learner.id]))
      .rows;
    if (row.rows !== DOCUMENTS) throw new Error(`${row.rows} vectors have been copied`);
    return { perSecond: DOCUMENTS / seconds };
  });
}
