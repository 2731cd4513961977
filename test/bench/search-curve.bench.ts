import { HttpClient, newLearner } from '../support/http';
import { DATABASE, startApi, startServers } from '../support/platform';
import { withClient } from '../support/servers';
import type { BenchContext } from './harness/context';
import { interleave } from './harness/interleave';
import { startLoad } from './harness/load';
import { exactSearch, quantizePassages, writePassages, writeQuestions } from './harness/passages';
import { pgbench } from './harness/pgbench';
import { enoughCandidates, foundBy, K, RECALL, recallCheck, recallOf, requestOf, scriptsOf, search } from './harness/searches';
import { number } from './harness/table';
import { atMost, type Check, type CurvePoint, type Measured } from './harness/workload';

const SIZES = [1000, 10_000, 100_000, 1_000_000];
const QUESTIONS = 16;

export const name = 'search-curve';
export const goal =
  `p95 ≤ 1.15× the best raw SQL that reaches recall ${RECALL} + 0.5 ms, recall@${K} ≥ ${RECALL}, ` +
  'for a learner with 1k, 10k, 100k and 1M passages; one connection on both sides';

/** As `search`, for learners with more and more passages, who are in one database. Takes 20 GB of disk for a while. */
export async function run(context: BenchContext): Promise<Measured> {
  const { postgres, settings } = await startServers(context);
  const api = await startApi(context, settings);
  const learners = await Promise.all(SIZES.map(() => newLearner(new HttpClient(api.url))));
  context.progress('  writing passages (some minutes)');
  const questions = await withClient(postgres.url(DATABASE), async (client) => {
    const owners = learners.map(({ id }, at) => ({ userId: id, passages: SIZES[at]! }));
    await writePassages(client, owners, { learners: 0, passages: 0 });
    await quantizePassages(client);
    await client.query('checkpoint'); // else it would meet the first runs
    return writeQuestions(client, QUESTIONS, SIZES[0]!);
  });
  const put = await startLoad(context);
  const points: CurvePoint[] = [];
  const recalls: { platform: number; limit: number }[] = [];
  for (const [at, learner] of learners.entries()) {
    context.progress(`  ${SIZES[at]} passages`);
    const { candidates, limitRecall, recall } = await withClient(postgres.url(DATABASE), async (client) => {
      const truths = await foundBy(client, questions, (question) => exactSearch(learner.id, question));
      const answers: string[][] = [];
      for (const question of questions) answers.push(await search(learner, question));
      return { ...(await enoughCandidates(client, learner.id, questions, truths)), recall: recallOf(answers, truths) };
    });
    recalls.push({ platform: recall, limit: limitRecall });
    const requests = questions.map((question) => requestOf(learner, question));
    const scripts = scriptsOf(learner.id, questions, candidates);
    const { platform, limit } = await interleave(context, {
      platform: (seconds) => put(api.pid, { url: api.url, connections: 1, seconds, requests }),
      limit: (seconds) => pgbench(context, { url: postgres.url(DATABASE), clients: 1, seconds, scripts }),
    });
    points.push({ x: SIZES[at]!, platform: platform.p95, limit: limit.p95 });
  }
  const [first, ...rest] = points.map(({ x, platform, limit }) =>
    atMost(`p95 at ${x.toLocaleString('en-US')}`, platform, 'ms', Number((1.15 * limit + 0.5).toFixed(2)), limit),
  ) as [Check, ...Check[]];
  const worst = recalls.reduce((least, one) => (one.platform < least.platform ? one : least));
  return {
    checks: [first, ...rest, recallCheck(worst.platform, worst.limit)],
    curve: { title: 'p95 of a search by how many passages the learner has (ms)', points },
    notes: [
      `Ten times as many passages take ${points
        .slice(1)
        .map(({ platform }, at) => `${number(platform / points[at]!.platform)}×`)
        .join(', ')} as long`,
    ],
  };
}
