import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { withClient } from '../support/servers';
import type { BenchContext } from './harness/context';
import { interleave } from './harness/interleave';
import { startLoad } from './harness/load';
import { exactSearch, quantizePassages, writePassages, writeQuestions } from './harness/passages';
import { pgbench } from './harness/pgbench';
import { enoughCandidates, foundBy, K, RECALL, recallCheck, recallOf, requestOf, scriptsOf, search } from './harness/searches';
import { DATABASE, startApi, startServers } from '../support/platform';
import { number } from './harness/table';
import { atMost, type Measured } from './harness/workload';

const MANY = 10_000;
const FEW = 100;
/** So that they are 100k in all. */
const OTHERS = { learners: 9, passages: MANY };
const QUESTIONS = 32;

export const name = 'search';
export const goal =
  `p95 ≤ 1.15× the best raw SQL that reaches recall ${RECALL} + 0.5 ms, recall@${K} ≥ ${RECALL}, never short; ` +
  `≤ 1.5 ms at ${FEW} passages; one connection on both sides`;

/** The ten passages nearest to a supplied vector, for a learner with 10k of 100k. */
export async function run(context: BenchContext): Promise<Measured> {
  const { postgres, settings } = await startServers(context);
  const api = await startApi(context, settings);
  const scholar = await newLearner(new HttpClient(api.url));
  const beginner = await newLearner(new HttpClient(api.url));
  context.progress('  writing passages');
  const owners = [
    { userId: scholar.id, passages: MANY },
    { userId: beginner.id, passages: FEW },
  ];
  const { questions, candidates, limitRecall, truths } = await withClient(postgres.url(DATABASE), async (client) => {
    await writePassages(client, owners, OTHERS);
    await quantizePassages(client);
    const asked = await writeQuestions(client, QUESTIONS, MANY);
    const right = await foundBy(client, asked, (question) => exactSearch(scholar.id, question));
    const found = await enoughCandidates(client, scholar.id, asked, right);
    await client.query('checkpoint'); // else it would meet the first runs
    return { questions: asked, truths: right, ...found };
  });
  const answers = await Promise.all(questions.map((question) => search(scholar, question)));
  const recall = recallOf(answers, truths);

  const put = await startLoad(context);
  const load = (learner: TestLearner) => (seconds: number) =>
    put(api.pid, {
      url: api.url,
      connections: 1,
      seconds,
      requests: questions.map((question) => requestOf(learner, question)),
    });
  const scripts = scriptsOf(scholar.id, questions, candidates);
  const { platform, limit, few } = await interleave(context, {
    platform: load(scholar),
    limit: (seconds) => pgbench(context, { url: postgres.url(DATABASE), clients: 1, seconds, scripts }),
    few: load(beginner),
  });
  return {
    checks: [
      atMost('p95', platform.p95, 'ms', Number((1.15 * limit.p95 + 0.5).toFixed(2)), limit.p95),
      recallCheck(recall, limitRecall),
      atMost(`p95 at ${FEW} passages`, few.p95, 'ms', 1.5),
    ],
    cpuMicros: platform.cpuMicros,
    details: {
      p50: platform.p50,
      p95: platform.p95,
      p99: platform.p99,
      limitP50: limit.p50,
      limitP95: limit.p95,
      limitP99: limit.p99,
      fewP50: few.p50,
      fewP95: few.p95,
      fewCpuMicros: few.cpuMicros,
      candidates,
      recall,
      limitRecall,
      serverCpu: platform.serverCpu,
    },
    notes: [
      `The best SQL found compares the signs of all ${MANY.toLocaleString('en-US')} vectors, and the ${candidates} nearest by what they ` +
        `say (recall@${K} ${limitRecall.toFixed(3)})`,
      `at ${FEW} passages p50 is ${number(few.p50)} ms`,
      `the API process takes ${number(platform.cpuMicros)} µs CPU a request, ${number(few.cpuMicros)} µs at ${FEW} passages; the ` +
        'rest is PostgreSQL',
    ],
  };
}
