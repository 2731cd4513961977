import { join } from 'node:path';
import { ListDue, ListDueHandler } from '../../libs/study/src/queries/list-due';
import { dataFolderOf } from '../support/data-folder';
import { HttpClient, newLearner } from '../support/http';
import { withClient } from '../support/servers';
import type { BareDue } from './bare-due';
import type { BenchContext } from './harness/context';
import { interleave } from './harness/interleave';
import { startLoad, type LoadRequest } from './harness/load';
import { OTHER_LEARNER, OTHER_LEARNERS, WITHOUT_FOREIGN_KEYS } from './harness/other-learners';
import { DATABASE, startApi, startServers } from '../support/platform';
import { Helper } from './harness/processes';
import { assertSame } from './harness/same';
import { statementOf } from './harness/statements';
import { number } from './harness/table';
import { atLeast, atMost, type Measured } from './harness/workload';

const CONNECTIONS = 8;
const LIMIT = 50;
/** Items of the learner, all of them due: the smaller table holds nothing else. */
const DUE = 1000;
const OTHERS = 999;

export const name = 'due';
export const goal =
  `≥ 0.85× a bare Fastify and pg with the same SQL, p95 with ${(OTHERS + 1) / 1000}M items across learners ≤ 1.25× that with ` +
  `${DUE}, ${CONNECTIONS} connections`;

/** What a learner has to review now. */
export async function run(context: BenchContext): Promise<Measured> {
  const { postgres, settings } = await startServers(context);
  const first = await startApi(context, settings);
  const learner = await newLearner(new HttpClient(first.url));
  await withClient(postgres.url(DATABASE), (client) => client.query(ITEMS, [DUE, learner.id, 1]));
  await first.stop();

  context.progress('  writing 1M items');
  const large = 'bench_large';
  await withClient(postgres.url('postgres'), (client) => client.query(`create database ${large} template ${DATABASE}`));
  await withClient(postgres.url(large), async (client) => {
    await client.query(WITHOUT_FOREIGN_KEYS);
    await client.query(OTHER_LEARNERS, [OTHERS]);
    await client.query(ITEMS, [DUE, null, OTHERS]);
  });
  for (const database of [DATABASE, large]) {
    await withClient(postgres.url(database), (client) => client.query('vacuum analyze study_items'));
  }
  await withClient(postgres.url(large), (client) => client.query('checkpoint')); // else it would meet the first runs

  const small = await startApi(context, settings);
  const keys = dataFolderOf(settings); // what the copy holds is sealed with the same
  const million = await startApi(context, { ...settings, ...keys, DATABASE_URL: postgres.appUrl(large) });
  const path = `/v1/study/due?limit=${LIMIT}`;
  const expected = await new HttpClient(small.url, learner.token).get(path);
  if (expected.body.items.length !== LIMIT) throw new Error(`${expected.body.items.length} items are due`);
  const bare = await startBare(context, {
    databaseUrl: settings['DATABASE_URL']!,
    userId: learner.id,
    dayEndsAt: expected.body.dayEndsAt,
  });
  assertSame(await new HttpClient(bare.url).get(path), expected);
  assertSame(await new HttpClient(million.url, learner.token).get(path), expected);

  const put = await startLoad(context);
  const requests: LoadRequest[] = [{ method: 'GET', path, headers: { authorization: `Bearer ${learner.token}` } }];
  const load = (server: { pid: number; url: string }) => (seconds: number) =>
    put(server.pid, { url: server.url, connections: CONNECTIONS, seconds, requests });
  const contenders = { platform: load(small), limit: load(bare), million: load(million) };
  const { platform, limit, million: among } = await interleave(context, contenders);
  return {
    checks: [
      atLeast('throughput', platform.perSecond, limit.perSecond, 'requests/s', 0.85),
      atMost('p95 with 1M items', among.p95, 'ms', Number((1.25 * platform.p95).toFixed(2)), platform.p95),
    ],
    cpuMicros: platform.cpuMicros,
    details: {
      limitCpuMicros: limit.cpuMicros,
      p50: platform.p50,
      p95: platform.p95,
      p99: platform.p99,
      limitP50: limit.p50,
      limitP95: limit.p95,
      limitP99: limit.p99,
      millionPerSecond: among.perSecond,
      millionP50: among.p50,
      millionP95: among.p95,
      flatness: among.p95 / platform.p95,
      bytes: Buffer.byteLength(expected.text),
      serverCpu: platform.serverCpu,
      limitServerCpu: limit.serverCpu,
      clientCpu: platform.clientCpu,
    },
    notes: [
      `CPU of the server process for a request: ${number(platform.cpuMicros)} µs, of the limit ${number(limit.cpuMicros)} µs`,
      `it keeps ${number(platform.serverCpu)} of a core busy (limit ${number(limit.serverCpu)})`,
      `among 1M items p95 is ${(among.p95 / platform.p95).toFixed(2)}× and p50 ${(among.p50 / platform.p50).toFixed(2)}× ` +
        `what it is with ${DUE} items in the table`,
    ],
  };
}

/**
 * $1 items of one learner ($2) or of each of $3 others, all of them due: nine in ten have been reviewed, with intervals of
 * one to 200 days that ended within the last days.
 */
const ITEMS = `
  insert into study_items (user_id, type, content, tags, progress, created_at, last_reviewed, next_review, state, stability,
    difficulty, scheduled_days, reps)
  select coalesce($2::uuid, ${OTHER_LEARNER}), 'flashcard',
    json_build_object('front', 'The word number ' || nr, 'back', 'What the word number ' || nr || ' means, in a sentence or two.'),
    array['words', 'unit ' || nr % 20], case when reviewed then least(1, days / 21.0) else 0 end, now() - interval '1 year',
    case when reviewed then due - days * interval '1 day' end, due, case when reviewed then 'review' else 'new' end,
    case when reviewed then days else 0 end, case when reviewed then 5 else 0 end, case when reviewed then days else 0 end,
    case when reviewed then 3 else 0 end
  from generate_series(1, $3) learner cross join generate_series(1, $1) nr
  cross join lateral (select nr % 10 > 0 as reviewed, 1 + nr * 37 % 200 as days, now() - nr * interval '337 seconds' as due) schedule`;

/** A server on the statement that the API itself sends, with as many connections as the API's pool has by default. */
async function startBare(context: BenchContext, route: Pick<BareDue, 'databaseUrl' | 'userId' | 'dayEndsAt'>) {
  const actor = { userId: route.userId, role: 'STUDENT' } as const;
  const { sql } = await statementOf((database) => new ListDueHandler(database).execute(new ListDue(actor, LIMIT)));
  const bare = await context.use(
    () => Helper.start(join(__dirname, 'bare-due.ts')),
    (helper) => helper.stop(),
  );
  const port = await bare.ask<number>({ ...route, sql, limit: LIMIT, connections: 10 } satisfies BareDue);
  return { pid: bare.pid, url: `http://127.0.0.1:${port}` };
}
