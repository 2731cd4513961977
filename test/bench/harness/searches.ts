import type { Client } from 'pg';
import type { TestLearner } from '../../support/http';
import type { LoadRequest } from './load';
import { quantizedSearch } from './passages';
import type { Script } from './pgbench';
import type { Check } from './workload';

/** Searches for the ten passages nearest to a supplied vector, by the API and by SQL. */
export const K = 10;
export const RECALL = 0.99;
const MOST_CANDIDATES = 12_800;

/** The limit's search for each question, as pgbench runs it. */
export const scriptsOf = (userId: string, questions: readonly string[], candidates: number): Script[] =>
  questions.map((question, index) => ({
    name: `question-${index}`,
    text: `${quantizedSearch(userId, question, candidates).replaceAll('\n', ' ')};\n`,
  }));

export function requestOf(learner: TestLearner, question: string): LoadRequest {
  return {
    method: 'POST',
    path: '/v1/documents/search',
    headers: { authorization: `Bearer ${learner.token}`, 'content-type': 'application/json' },
    body: `{"vector":${question},"k":${K}}`,
  };
}

/** @returns the ids that the API finds @throws if they are too few */
export async function search({ http }: TestLearner, question: string): Promise<string[]> {
  const { status, body, text } = await http.post('/v1/documents/search', `{"vector":${question},"k":${K}}`);
  if (status !== 200 || body.items.length !== K) throw new Error(`The search answered ${status}: ${text.slice(0, 300)}`);
  return body.items.map((item: { passage: { id: string } }) => item.passage.id);
}

/** The ids that a statement finds for each question. */
export async function foundBy(
  client: Client,
  questions: readonly string[],
  sql: (question: string) => string,
): Promise<string[][]> {
  const found: string[][] = [];
  for (const question of questions) {
    const { rows } = await client.query<{ id: string }>(sql(question));
    found.push(rows.map(({ id }) => id));
  }
  return found;
}

/** The fewest candidates, of some sizes, with which the limit's search is as right as it has to be. */
export async function enoughCandidates(
  client: Client,
  userId: string,
  questions: readonly string[],
  truths: readonly string[][],
) {
  for (let candidates = 25; candidates <= MOST_CANDIDATES; candidates *= 2) {
    const found = await foundBy(client, questions, (question) => quantizedSearch(userId, question, candidates));
    const limitRecall = recallOf(found, truths);
    if (limitRecall >= RECALL) return { candidates, limitRecall };
  }
  throw new Error('The limit does not find what is there');
}

/** Which part of what should be found is found. */
export function recallOf(found: readonly string[][], truths: readonly string[][]): number {
  const hits = truths.map((truth, index) => truth.filter((id) => found[index]!.includes(id)).length / truth.length);
  return hits.reduce((sum, part) => sum + part, 0) / hits.length;
}

/** @param limit what the limit's search finds */
export function recallCheck(value: number, limit: number): Check {
  return { name: `recall@${K}`, value, unit: 'of 1', limit, goal: `≥ ${RECALL}`, met: value >= RECALL };
}
