import { MikroORM } from '@mikro-orm/postgresql';
import { Database, type Learner } from '@studently/platform';
import type { Client } from 'pg';
import { conditionOf } from '../../libs/ai-interactions/src/queries/search/document-filter';
import {
  rankedShared,
  SharedNearestPassages,
  type SharedNearest,
} from '../../libs/ai-interactions/src/queries/search/shared-nearest';
import { ormOptions } from '../../libs/platform/src/persistence/connection';
import { DATABASE, startServers } from '../support/platform';
import { withClient } from '../support/servers';
import type { BenchContext } from './harness/context';
import { interleave, median } from './harness/interleave';
import { OTHER_LEARNER, OTHER_LEARNERS, WITHOUT_FOREIGN_KEYS } from './harness/other-learners';
import { writeQuestions, writeVectors } from './harness/passages';
import { K, recallOf } from './harness/searches';
import { number } from './harness/table';
import type { Check, Measured } from './harness/workload';
import { Replicas } from '../../libs/platform/src/persistence/replicas';

const PASSAGES = 20_000;
/** So many are put into the index one by one. */
const LATER = 200;
const QUESTIONS = 20;
/** A filter lets one of so many passages through. */
const ONE_OF = [1, 2, 10, 50, 200, 1000];
const GOAL = 1.2;
const RECALL = 0.95;

export const name = 'shared-search';
export const goal =
  `whatever a filter lets through: p50 ≤ ${GOAL}× the better of index and signs that has recall@${K} ≥ ${RECALL}, as the search itself; ` +
  `${PASSAGES.toLocaleString('en-US')} published passages`;

/** The nearest of what is published: by the way that is chosen, and by either of the two that there are. */
export async function run(context: BenchContext): Promise<Measured> {
  const { postgres } = await startServers(context);
  context.progress('  publishing');
  const { actor, vectors, buildSeconds, insertMs } = await withClient(postgres.url(DATABASE), publish);
  const nearest = new SharedNearestPassages(await databaseAt(context, postgres.appUrl(DATABASE)));
  const chosen: Way = { few: nearest.few, leastShare: nearest.leastShare };

  const asked = (oneOf: number, vector: number[]) => ({
    ...{ actor, vector, spaces: [0], k: K, show: rankedShared },
    scope: { where: conditionOf(oneOf === 1 ? {} : { metadata: { [keyOf(oneOf)]: 0 } }), except: [], others: false },
  });
  const contender = (oneOf: number, way: Way) => async (seconds: number) => {
    Object.assign(nearest, way);
    const times: number[] = [];
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      const began = performance.now();
      await nearest.find(asked(oneOf, vectors[times.length % vectors.length]!));
      times.push(performance.now() - began);
    }
    return { p50: median(times) };
  };
  const recallBy = async (oneOf: number, way: Way) => {
    Object.assign(nearest, way);
    const [found, truths]: [string[][], string[][]] = [[], []];
    for (const vector of vectors) {
      found.push(idsIn(await nearest.find(asked(oneOf, vector))));
      truths.push(idsIn(await nearest.findExactly(asked(oneOf, vector))));
    }
    return recallOf(found, truths);
  };

  const checks: Check[] = [];
  const notes: string[] = [];
  for (const oneOf of ONE_OF) {
    const ways = { chosen, index: INDEX, signs: SIGNS };
    const measured = await interleave(context, {
      chosen: contender(oneOf, chosen),
      index: contender(oneOf, INDEX),
      signs: contender(oneOf, SIGNS),
    });
    const share = `${number(100 / oneOf)} %`;
    const recall = { chosen: 0, index: 0, signs: 0 };
    for (const way of ['chosen', 'index', 'signs'] as const) recall[way] = await recallBy(oneOf, ways[way]);
    const right = (['index', 'signs'] as const).filter((way) => recall[way] >= RECALL);
    const best = Math.min(...right.map((way) => measured[way].p50));
    checks.push(...checksOf(share, measured.chosen.p50, best, recall.chosen));
    const told = (way: 'index' | 'signs') => `${number(measured[way].p50)} ms (recall ${recall[way].toFixed(3)})`;
    notes.push(`of ${share} the index takes ${told('index')}, the signs ${told('signs')}`);
  }
  notes.push(
    `the index over ${PASSAGES.toLocaleString('en-US')} passages is made in ${number(buildSeconds)} s by one process; ` +
      `later a passage costs ${number(insertMs)} ms`,
  );
  return { checks: checks as Measured['checks'], details: { buildSeconds, insertMs }, notes };
}

type Way = Pick<SharedNearestPassages, 'few' | 'leastShare'>;
const INDEX: Way = { few: 0, leastShare: 0 };
const SIGNS: Way = { few: Infinity, leastShare: 1 };

const idsIn = ({ found }: SharedNearest) => (JSON.parse(found) as { passageId: string }[]).map(({ passageId }) => passageId);

/** The read side of a process, on one connection. */
async function databaseAt(context: BenchContext, url: string): Promise<Database> {
  const target = { url, embedded: false };
  const orm = await context.use(
    () => MikroORM.init({ ...ormOptions(target, 1), entities: [] }),
    (started) => started.close(true),
  );
  return new Database(orm, target, new Replicas());
}

function checksOf(share: string, value: number, limit: number, recall: number): Check[] {
  const ratio = value / limit;
  return [
    { name: `p50 of ${share}`, value, unit: 'ms', limit, ratio, goal: `≤ ${GOAL}×`, met: ratio <= GOAL },
    { name: `recall@${K} of ${share}`, value: recall, unit: 'of 1', goal: `≥ ${RECALL}`, met: recall >= RECALL },
  ];
}

/** Of a document's metadata. */
const keyOf = (oneOf: number) => `of${oneOf}`;
const METADATA = ONE_OF.map((oneOf) => `'${keyOf(oneOf)}', nr % ${oneOf}`).join(', ');
/** One passage each. */
const DOCUMENTS = `
  insert into published_documents (user_id, id, type, metadata, space, vectors)
  select ${OTHER_LEARNER}, md5('document ' || nr)::uuid, 'lecture', jsonb_build_object(${METADATA}), 0, 1
  from bench_vectors, generate_series(1, 1) learner where nr between $1 and $2`;
const COPIES = `
  insert into published_passages (user_id, id, document_id, ordinal, content, starts_at, ends_at, space, embedding)
  select ${OTHER_LEARNER}, md5('passage ' || nr)::uuid, md5('document ' || nr)::uuid, 1, 'Mitosis makes two cells.', 0, 24, 0, vector::halfvec
  from bench_vectors, generate_series(1, 1) learner where nr between $1 and $2`;
const MAKE_INDEX = 'create index published_passages_nearest on published_passages using hnsw (embedding halfvec_cosine_ops)';

/** Writes all but the last without the index, makes it, and then writes these. */
async function publish(client: Client) {
  await client.query(WITHOUT_FOREIGN_KEYS);
  await client.query(OTHER_LEARNERS, [1]);
  await writeVectors(client, PASSAGES);
  await client.query('drop index published_passages_nearest');
  await client.query(DOCUMENTS, [1, PASSAGES]);
  await client.query(COPIES, [1, PASSAGES - LATER]);
  await client.query(`set maintenance_work_mem = '512MB'; set max_parallel_maintenance_workers = 0`);
  const buildSeconds = (await timeOf(() => client.query(MAKE_INDEX))) / 1000;
  const insertMs = (await timeOf(() => client.query(COPIES, [PASSAGES - LATER + 1, PASSAGES]))) / LATER;
  await client.query('vacuum analyze published_documents');
  await client.query('vacuum analyze published_passages');
  await client.query('checkpoint'); // else it would meet the first runs
  const vectors = (await writeQuestions(client, QUESTIONS, PASSAGES)).map((question) => JSON.parse(question) as number[]);
  const { rows } = await client.query<{ id: string }>('select id from users');
  const actor: Learner = { userId: rows[0]!.id, role: 'STUDENT' };
  return { actor, vectors, buildSeconds, insertMs };
}

/** @returns ms */
async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
