import { randomBytes } from 'node:crypto';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient, type Answer, type TestLearner } from '../support/http';
import { OpenAiServer, type ServerFault } from '../support/openai-server';
import { expectProblem, RunningApi, until } from './support';

const KEY = `sk-${randomBytes(16).toString('hex')}`;
const MODEL = 'text-embedding-3-small';
const isPoison = (texts: readonly string[]) => texts.some((text) => text.includes('poison'));

describe.each(waysToRun)('An endpoint that speaks OpenAI’s protocol makes the embeddings, $name', (way) => {
  let server: OpenAiServer;
  beforeAll(async () => {
    server = await OpenAiServer.start(KEY);
  });
  const settings = {
    EMBEDDINGS_PROVIDER: 'openai',
    EMBEDDINGS_API_KEY: KEY,
    get EMBEDDINGS_URL() {
      return server.url;
    },
  };
  const run = new RunningApi(way, settings, { withWorker: true });
  afterAll(() => server.stop());
  let ada: TestLearner;
  beforeAll(async () => {
    ada = await run.newLearner();
  });
  beforeEach(() => server.heal());

  const add = async (content: string, type = 'text'): Promise<string> => {
    const { body } = await ada.http.post('/v1/documents', { type, content });
    return `/v1/documents/${body.id}`;
  };
  const settled = (path: string): Promise<any> =>
    until(async () => {
      const { body } = await ada.http.get(path);
      return body.status !== 'pending' && body;
    }, 60_000);
  /** Makes attempts come at once. */
  const hurry = () => sql(run.databaseUrl, `update jobs set available_at = clock_timestamp() where dead_at is null`);
  const search = (body: object): Promise<Answer> => ada.http.post('/v1/documents/search', body);

  it('OV-4 AI-9 documents are embedded by it and found by what they mean, and its name stands beside the vectors', async () => {
    const [grass] = await Promise.all([add('Grass is green.'), add('The moon is a rock.')]);
    expect(await settled(grass)).toMatchObject({ status: 'ready', passages: 1 });
    await until(async () => (await search({ text: 'x', mode: 'vector' })).body.items.length === 2);
    const { body } = await search({ text: 'green grass', mode: 'vector', k: 1 });
    expect(body.items).toMatchObject([{ passage: { text: 'Grass is green.' } }]);
    const [row] = await sql(
      run.databaseUrl,
      `select d.embedding_model as document, s.model as passage from documents d
       join passage_vectors v on v.document_id = d.id join vector_spaces s on s.space = v.space where d.id = $1`,
      [grass.split('/').at(-1)],
    );
    expect(row).toEqual({ document: MODEL, passage: MODEL });
  });

  it('while it is away documents wait, questions are answered by words, and by meaning alone not at all', async () => {
    server.fail({ kind: 'status', status: 503 });
    const path = await add('Water boils at a hundred degrees.');
    const hybrid = await until(async () => {
      const answer = await search({ text: 'green grass' });
      return answer.body.meta.why.includes('cannot be asked') && answer;
    });
    expect([hybrid.status, hybrid.body.meta.strategy]).toEqual([200, 'text']);
    expect(hybrid.body.items).toMatchObject([{ passage: { text: 'Grass is green.' } }]);
    const refused = await search({ text: 'green grass', mode: 'vector' });
    expectProblem(refused, 503, 'EMBEDDINGS_UNAVAILABLE');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect((await ada.http.get(path)).body.status).toBe('pending');

    server.heal();
    expect(await settled(path)).toMatchObject({ status: 'ready', failure: null });
    await until(async () => (await search({ text: 'green grass' })).body.meta.strategy === 'exact+text');
  });

  it.each<[string, ServerFault]>([
    ['EMBEDDING_REFUSED', { kind: 'status', status: 400 }],
    ['EMBEDDING_WRONG_DIMENSION', { kind: 'vectors', change: (all) => all.map((one) => one.slice(0, 512)) }],
    ['EMBEDDING_MALFORMED', { kind: 'body', body: '<html>' }],
  ])('AI-9 a document that it fails on says so: %s; another passage of the same document is found', async (failure, fault) => {
    server.fail(fault, { when: isPoison });
    const section = (text: string) => `# ${text}\n\n${'A sentence about the garden and its lawn. '.repeat(20)}`;
    const [poison, both] = [
      await add(`${failure}: poison`),
      await add(`${section('poison')}\n\n${section('cure')}`, 'markdown'),
    ];
    const [failed, ready] = await Promise.all(
      [poison, both].map((path) =>
        until(async () => {
          await hurry();
          const { body } = await ada.http.get(path);
          return body.status !== 'pending' && body;
        }, 60_000),
      ),
    );
    expect([failed.status, failed.failure]).toEqual(['failed', failure]);
    expect([ready.status, ready.passages, ready.failure]).toEqual(['ready', 2, null]);
    const [row] = await sql<{ count: number }>(
      run.databaseUrl,
      'select count(*)::int as count from passage_vectors where document_id = $1',
      [ready.id],
    );
    expect(row!.count).toBe(1);
  });

  it('SEC-14 neither the key nor a text is in a log or a metric', async () => {
    server.fail({ kind: 'status', status: 401 });
    await search({ text: 'canaryquestion' });
    const { text: metrics } = await new HttpClient(run.api.url).get('/metrics');
    expect(metrics).toMatch(/^studently_embedding_call_seconds_count\{purpose="question",outcome="denied"\} \d+$/m);
    const said = `${run.api.log} ${run.background.log} ${metrics}`;
    expect(said).toContain('refuses the key');
    for (const secret of [KEY, 'canaryquestion', 'Grass is green']) expect(said).not.toContain(secret);
  });

  it('another model that is configured later does not answer for what this one has made', async () => {
    if (way.name === 'embedded') return; // one process for each data folder
    const changed = await run.api.restart({ EMBEDDINGS_MODEL: 'text-embedding-3-large' });
    const { body } = await new HttpClient(changed.url).as(ada.token).post('/v1/documents/search', { text: 'grass', k: 1 });
    expect(body.items).toMatchObject([{ passage: { text: 'Grass is green.' } }]);
    expect(server.requests.map(({ model }) => model)).toEqual([MODEL]);
    expect(changed.log).toContain('embeddings migrate start');
    await changed.stop();
  });
});
