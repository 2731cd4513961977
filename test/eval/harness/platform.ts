import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiProcess } from '../../support/api-process';
import { HttpClient, newLearner, type TestLearner } from '../../support/http';
import { DATABASE, startApi, startServers, startWorker } from '../../support/platform';
import type { PostgresServer } from '../../support/servers';
import { withClient } from '../../support/servers';
import { Workspace } from '../../support/workspace';
import type { JudgedSet, Question } from '../sets/judged-set';
import { METHODS, type Asked, type Found, type Method, type Rankings } from './rankings';

/** Each has a model in a thread of its own: one for each core that is needed. */
const WORKERS = 2;
const AT_ONCE = 4;
const K = 100;
const ATTEMPTS = 30;
/** What hybrid says then. */
const AWAY = 'the model cannot be asked';

/** What an evaluation runs in: servers of its own, gone afterwards. */
export class EvalContext extends Workspace {
  constructor(readonly progress: (text: string) => void = () => undefined) {
    super();
  }
}

export interface EvalPlatform {
  postgres: PostgresServer;
  api: ApiProcess;
}

export async function startPlatform(context: EvalContext): Promise<EvalPlatform> {
  const { postgres, settings } = await startServers(context);
  const api = await startApi(context, settings);
  await Promise.all(Array.from({ length: WORKERS }, () => startWorker(context, settings)));
  return { postgres, api };
}

/** A learner brings the documents, the platform cuts and embeds them, and the learner asks: as everybody would. */
export async function rankingsOf(
  context: EvalContext,
  { postgres, api }: EvalPlatform,
  set: string,
  { documents, questions }: JudgedSet,
): Promise<Rankings> {
  const learner = await newLearner(new HttpClient(api.url));
  await bring(learner, documents);
  await untilEmbedded(context, postgres, learner.id);
  const words = await wordsIn(postgres, questions);
  const asked: Asked[] = [];
  const waiting = [...questions];
  const askNext = async () => {
    for (let question = waiting.shift(); question; question = waiting.shift()) {
      asked.push({ ...(await ask(learner, question)), words: words.get(question.text)! });
      if (asked.length % 100 === 0) context.progress(`  asked ${asked.length} of ${questions.length}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, askNext));
  const place = new Map(questions.map(({ text }, index) => [text, index]));
  asked.sort((a, b) => place.get(a.text)! - place.get(b.text)!);
  return { set, documents: documents.length, passages: await passagesOf(postgres, learner.id), asked };
}

async function bring({ http }: TestLearner, documents: JudgedSet['documents']): Promise<void> {
  const lines = documents.map((document) => JSON.stringify(document)).join('\n');
  const headers = { 'content-type': 'application/x-ndjson' };
  const { status, body, text } = await http.post('/v1/documents/bulk', lines, { headers });
  if (status !== 200 || body.accepted !== documents.length) throw new Error(`Ingest answered ${status}: ${text.slice(0, 500)}`);
}

async function untilEmbedded(context: EvalContext, postgres: PostgresServer, userId: string): Promise<void> {
  await withClient(postgres.url(DATABASE), async (client) => {
    for (let told = -1; ;) {
      const { rows } = await client.query<{ status: string; count: number }>(
        'select status, count(*)::int as count from documents where user_id = $1 group by status',
        [userId],
      );
      const counts = Object.fromEntries(rows.map(({ status, count }) => [status, count]));
      const { ready = 0, pending = 0, failed = 0 } = counts;
      if (failed > 0) throw new Error(`${failed} documents could not be embedded`);
      if (pending === 0) return;
      const step = Math.floor(ready / 50);
      if (step !== told) context.progress(`  embedded ${ready} of ${ready + pending} documents`);
      told = step;
      await sleep(250);
    }
  });
}

async function passagesOf(postgres: PostgresServer, userId: string): Promise<number> {
  const { rows } = await withClient(postgres.url(DATABASE), (client) =>
    client.query<{ count: number }>('select count(*)::int as count from document_passages where user_id = $1', [userId]),
  );
  return rows[0]!.count;
}

/** How many words of each question count. */
async function wordsIn(postgres: PostgresServer, questions: readonly Question[]): Promise<Map<string, number>> {
  const { rows } = await withClient(postgres.url(DATABASE), (client) =>
    client.query<{ text: string; words: number }>(
      `select text, length(to_tsvector('english', text)) as words from unnest($1::text[]) text`,
      [questions.map(({ text }) => text)],
    ),
  );
  return new Map(rows.map(({ text, words }) => [text, words]));
}

async function ask(learner: TestLearner, { text, relevant }: Question): Promise<Omit<Asked, 'words'>> {
  const answers = await Promise.all(METHODS.map(async (mode) => [mode, await search(learner, text, mode)] as const));
  return { text, relevant, found: Object.fromEntries(answers) as Record<Method, Found[]> };
}

/** On a busy machine the model may be away for a while: then a search by meaning is refused, and a hybrid one answers by words alone. */
async function search({ http }: TestLearner, question: string, mode: Method): Promise<Found[]> {
  for (let attempt = 1; ; attempt++) {
    const { status, body, text } = await http.post('/v1/documents/search', { text: question, k: K, mode });
    if (status === 200 && !body.meta.why.includes(AWAY)) {
      return body.items.map((item: any) => ({ passage: item.passage.id, document: item.document.id }));
    }
    if (attempt === ATTEMPTS) throw new Error(`The search answered ${status}: ${text.slice(0, 300)}`);
    await sleep(1000);
  }
}
