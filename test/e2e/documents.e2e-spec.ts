import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient, type Answer, type TestLearner } from '../support/http';
import { allPages, expectProblem, RunningApi, statuses, until } from './support';

const GUIDES = join(__dirname, '../../node_modules/fastify/docs');
const wholeGuide = (path: string) => readFileSync(join(GUIDES, path), 'utf8');
/** Its beginning: the model takes its time. */
const guide = (path: string) => wholeGuide(path).slice(0, 6000);

/** A vector of 1536 numbers that begins with these. */
const vector = (...first: number[]) => [...first, ...Array<number>(1536 - first.length).fill(0)];
const ndjson = (lines: (object | string)[]) =>
  lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
const importInto = (http: HttpClient, lines: (object | string)[], headers: Record<string, string> = {}) =>
  http.send('POST', '/v1/documents/bulk', ndjson(lines), { headers: { 'content-type': 'application/x-ndjson', ...headers } });

interface New {
  id: string;
  path: string;
  etag: string;
  body: any;
}
const text = { type: 'text', content: 'Grass is green.' };
async function newDocument(http: HttpClient, body: object = {}): Promise<New> {
  const answer = await http.post('/v1/documents', { ...text, ...body });
  expect([201, 202]).toContain(answer.status);
  return { id: answer.body.id, path: `/v1/documents/${answer.body.id}`, etag: answer.headers.get('etag')!, body: answer.body };
}
const settled = (http: HttpClient, path: string): Promise<any> =>
  until(async () => {
    const { body } = await http.get(path);
    return body.status !== 'pending' && body;
  }, 60_000);

describe.each(waysToRun)('documents, $name', (way) => {
  const run = new RunningApi(way, {}, { withWorker: true });
  let ada: TestLearner;
  beforeAll(async () => {
    ada = await run.newLearner();
  });

  it('OV-4 are kept at once, embedded in the background, and read back as they were answered', async () => {
    const answer = await ada.http.post('/v1/documents', {
      ...text,
      title: ' Grass ',
      metadata: { course: 'biology', n: [1, null] },
    });
    expect(answer.status).toBe(202);
    expect(answer.body).toEqual({
      id: expect.any(String),
      type: 'text',
      title: 'Grass',
      content: text.content,
      metadata: { course: 'biology', n: [1, null] },
      status: 'pending',
      failure: null,
      passages: 0,
      publishedAt: null,
      createdAt: expect.any(String),
      updatedAt: answer.body.createdAt,
      version: 1,
    });
    const path = `/v1/documents/${answer.body.id}`;
    const ready = await settled(ada.http, path);
    expect(ready).toEqual({ ...answer.body, status: 'ready', passages: 1, version: 2, updatedAt: expect.any(String) });
    const [row] = await sql<{ model: string; length: number }>(
      run.databaseUrl,
      `select embedding_model as model, -(embedding <#> embedding) as length from documents where id = $1`,
      [answer.body.id],
    );
    expect(row).toEqual({ model: 'universal-sentence-encoder-lite', length: expect.closeTo(1, 5) });
    const read = await ada.http.get(path);
    const unchanged = await ada.http.get(path, { headers: { 'if-none-match': read.headers.get('etag')! } });
    expect([unchanged.status, unchanged.text]).toEqual([304, '']);
  });

  it('AI-9 with an embedding are ready at once, as one passage', async () => {
    const answer = await ada.http.post('/v1/documents', { ...text, embedding: vector(0.5, -0.5) });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ status: 'ready', passages: 1, title: null, metadata: {} });
    const found = await ada.http.post('/v1/documents/search', { vector: vector(1, -1), k: 1 });
    expect(found.body.items).toEqual([
      {
        document: { id: answer.body.id, type: 'text', title: null, metadata: {} },
        passage: {
          id: expect.any(String),
          ordinal: 1,
          text: text.content,
          startsAt: 0,
          endsAt: text.content.length,
          headings: [],
        },
        score: expect.closeTo(1, 5),
      },
    ]);
  });

  it.each([
    ['1535 numbers', vector().slice(1)],
    ['1537 numbers', [...vector(1), 1]],
    ['only zeros', vector()],
    ['only what 32 bits make zero', vector(1e-50)],
    ['too large a number', vector(1e39)],
    ['a text', vector('1' as never)],
    ['null', vector(1, null as never)],
    ['NaN as a text', vector('NaN' as never)],
    ['an array', vector([1] as never)],
    ['no numbers', []],
    ['no array', 'vector'],
    ['nothing', null],
    ['an object', { 0: 1, length: 1536 }],
  ])('AI-4 AI-9 a vector with %s is refused wherever it comes', async (_, bad) => {
    const chat = await ada.http.post('/v1/chats', { title: 'x' });
    const document = await newDocument(ada.http);
    for (const refused of [
      await ada.http.post('/v1/documents', { ...text, embedding: bad }),
      await ada.http.patch(document.path, { embedding: bad }),
      await ada.http.post('/v1/documents/search', { vector: bad, k: 1 }),
      await ada.http.put(`/v1/chats/${chat.body.id}/context-vector`, { vector: bad, model: 'm' }),
    ]) {
      expectProblem(refused, 422, 'VECTOR_INVALID');
      expect(refused.body.errors[0].path).toMatch(/^(embedding|vector)/);
    }
    expect((await importInto(ada.http, [{ ...text, embedding: bad }])).body.rejected).toMatchObject([
      { code: 'VECTOR_INVALID' },
    ]);
  });

  it('AI-4 a chat keeps what it is about, and whose model has seen it', async () => {
    const chat = await ada.http.post('/v1/chats', { title: 'Photosynthesis' });
    const path = `/v1/chats/${chat.body.id}/context-vector`;
    const put = await ada.http.put(path, { vector: vector(0.25, 1e-3), model: 'text-embedding-3-small' });
    expect([put.status, put.text]).toEqual([204, '']);
    const [row] = await sql<{ vector: string; model: string }>(
      run.databaseUrl,
      'select context_vector::text as vector, context_model as model from chats where id = $1',
      [chat.body.id],
    );
    expect(row!.model).toBe('text-embedding-3-small');
    expect((JSON.parse(row!.vector) as number[]).slice(0, 3)).toEqual([0.25, 0.001, 0]);
    const read = await ada.http.get(`/v1/chats/${chat.body.id}`, {
      headers: { 'x-read-token': put.headers.get('x-read-token')! },
    });
    expect(read.body.version).toBe(2);
    expectProblem(
      await ada.http.put(path, { vector: vector(1), model: 'm' }, { headers: { 'if-match': chat.headers.get('etag')! } }),
      412,
      'VERSION_MISMATCH',
    );
    expectProblem(await ada.http.put(path, { vector: vector(1) }), 422, 'VALIDATION_FAILED');
    const other = await run.newLearner();
    expectProblem(await other.http.put(path, { vector: vector(1), model: 'm' }), 404, 'NOT_FOUND');
  });

  it('with the same id are once, also when asked for at the same moment, and when embedded meanwhile', async () => {
    const body = { ...text, id: randomUUID(), title: 'Once', metadata: { a: 1 } };
    const first = await ada.http.post('/v1/documents', body);
    await settled(ada.http, `/v1/documents/${body.id}`);
    const again = await ada.http.post('/v1/documents', body);
    expect([first.status, again.status]).toEqual([202, 200]);
    expect(again.body).toMatchObject({ id: body.id, title: 'Once', status: 'ready' });
    for (const other of [
      { title: 'Twice' },
      { content: 'Other' },
      { metadata: {} },
      { type: 'note' },
      { embedding: vector(1) },
    ]) {
      expectProblem(await ada.http.post('/v1/documents', { ...body, ...other }), 409, 'ID_TAKEN');
    }
    const supplied = { ...text, id: randomUUID(), embedding: vector(0.1, 0.2) };
    const together = await Promise.all([1, 2, 3].map(() => ada.http.post('/v1/documents', supplied)));
    expect(statuses(together)).toEqual([200, 200, 201]);
    expectProblem(await ada.http.post('/v1/documents', { ...supplied, embedding: undefined }), 409, 'ID_TAKEN');
    expectProblem(await ada.http.post('/v1/documents', { ...supplied, embedding: vector(0.1, 0.3) }), 409, 'ID_TAKEN');
  });

  it('AI-6 of two learners may have the same id, and stay apart', async () => {
    const grace = await run.newLearner();
    const id = randomUUID();
    await newDocument(ada.http, { id, title: 'of Ada' });
    await newDocument(grace.http, { id, title: 'of Grace' });
    expect((await ada.http.get(`/v1/documents/${id}`)).body.title).toBe('of Ada');
    expect((await grace.http.get(`/v1/documents/${id}`)).body.title).toBe('of Grace');
  });

  it('AI-7 are of a type that is in the table', async () => {
    const refused = await ada.http.post('/v1/documents', { ...text, type: 'hologram' });
    expectProblem(refused, 422, 'VALIDATION_FAILED');
    expect(refused.body.errors).toMatchObject([{ path: 'type' }]);
    const document = await newDocument(ada.http, { embedding: vector(1) });
    expectProblem(await ada.http.patch(document.path, { type: 'hologram' }), 422, 'VALIDATION_FAILED');
    expect((await ada.http.patch(document.path, { type: 'essay' })).body.type).toBe('essay');
  });

  it('AI-8 have 1 byte to 1 MiB of content', async () => {
    const mebibyte = 'ß'.repeat(512 * 1024);
    const large = await newDocument(ada.http, { content: mebibyte, embedding: vector(1, 1) });
    expect((await ada.http.get(large.path)).body.content).toBe(mebibyte);
    for (const content of ['', `${mebibyte}x`]) {
      const refused = await ada.http.post('/v1/documents', { ...text, content });
      expectProblem(refused, 422, 'VALIDATION_FAILED');
      expect(refused.body.errors).toMatchObject([{ path: 'content' }]);
    }
    expectProblem(
      await ada.http.post('/v1/documents', { ...text, content: 'x'.repeat(5 * 1024 * 1024) }),
      413,
      'BODY_TOO_LARGE',
    );
    for (const title of ['', '  ', 'x'.repeat(301)]) {
      expectProblem(await ada.http.post('/v1/documents', { ...text, title }), 422, 'VALIDATION_FAILED');
    }
    await ada.http.delete(large.path);
  });

  it.each([
    ['of symbols', '*** --- !!! ∑∞ 🌱'],
    ['in Chinese', '光合作用是植物利用光能的过程。'.repeat(40)],
    ['in Cyrillic', 'Фотосинтез идёт в листьях.'],
    ['of white space', ' \n\t '],
  ])('AI-8 a document %s has nothing to embed and says so; its words are found where it has some', async (_, content) => {
    const grace = await run.newLearner();
    const { path } = await newDocument(grace.http, { content });
    expect(await settled(grace.http, path)).toMatchObject({ status: 'failed', failure: 'NOTHING_TO_EMBED' });
    const word = /\p{L}+/u.exec(content)?.[0];
    const found = await grace.http.post('/v1/documents/search', { text: word ?? 'grass', k: 5 });
    expect([found.status, found.body.items.length > 0]).toEqual([200, word !== undefined]);
    for (const question of ['字', '🌱 !!!', "' & | ! <-> :* \\", '\u200b']) {
      for (const mode of ['hybrid', 'vector', 'text']) {
        expect((await grace.http.post('/v1/documents/search', { text: question, k: 5, mode })).status).toBe(200);
      }
    }
  });

  it('are changed, if they are still what the caller has read; another content is embedded anew', async () => {
    const document = await newDocument(ada.http, { title: 'Old', metadata: { a: 1 }, embedding: vector(1) });
    const changed = await ada.http.patch(
      document.path,
      { title: null, metadata: { b: 2 } },
      { headers: { 'if-match': document.etag } },
    );
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({
      ...document.body,
      title: null,
      metadata: { b: 2 },
      version: 2,
      updatedAt: expect.any(String),
    });
    expectProblem(
      await ada.http.patch(document.path, { title: 'Lost' }, { headers: { 'if-match': document.etag } }),
      412,
      'VERSION_MISMATCH',
    );
    expectProblem(await ada.http.delete(document.path, { headers: { 'if-match': document.etag } }), 412, 'VERSION_MISMATCH');

    const anew = await ada.http.patch(document.path, { content: 'The moon is a rock. '.repeat(40) });
    expect(anew.body).toMatchObject({ status: 'pending', passages: 0 });
    const ready = await settled(ada.http, document.path);
    expect(ready.status).toBe('ready');
    expect(ready.passages).toBeGreaterThan(2);
    const supplied = await ada.http.patch(document.path, { embedding: vector(0, 1) });
    expect(supplied.body).toMatchObject({ status: 'ready', passages: 1 });
  });

  it('are deleted with their passages', async () => {
    const document = await newDocument(ada.http, { embedding: vector(1) });
    expect((await ada.http.delete(document.path)).status).toBe(204);
    expectProblem(await ada.http.get(document.path), 404, 'NOT_FOUND');
    expectProblem(await ada.http.delete(document.path), 404, 'NOT_FOUND');
    expect(await sql(run.databaseUrl, 'select 1 from document_passages where document_id = $1', [document.id])).toEqual([]);
  });

  it('are listed newest first, perhaps of one type, without their content', async () => {
    const grace = await run.newLearner();
    const made: New[] = [];
    for (const type of ['text', 'note', 'text', 'note'])
      made.push(await newDocument(grace.http, { type, embedding: vector(1) }));
    const expected = made.map(({ body: { content: _, ...summary } }) => summary).reverse();
    expect(await allPages(grace.http, '/v1/documents', 3)).toEqual(expected);
    expect(await allPages(grace.http, '/v1/documents?type=note', 1)).toEqual(expected.filter(({ type }) => type === 'note'));
    expect(await allPages(grace.http, '/v1/documents?type=hologram', 1)).toEqual([]);
  });

  it('PF-5 come in bulk: good lines are kept, bad ones named, and the batch goes on where it stopped', async () => {
    const grace = await run.newLearner();
    const document = (nr: number) => ({ ...text, title: `nr ${nr}`, metadata: { nr }, embedding: vector(1, nr) });
    const lines = [
      document(1),
      '{ not json',
      '',
      { ...document(4), type: 'hologram' },
      { ...document(5), content: '' },
      { ...document(6), embedding: [1] },
      document(7),
    ];
    const expected = {
      accepted: 2,
      rejected: [
        { line: 2, code: 'MALFORMED_JSON', detail: expect.any(String) },
        { line: 4, code: 'VALIDATION_FAILED', detail: expect.stringContaining('type') },
        { line: 5, code: 'VALIDATION_FAILED', detail: expect.stringContaining('content') },
        { line: 6, code: 'VECTOR_INVALID', detail: expect.stringContaining('embedding') },
      ],
      rejectedCount: 4,
    };
    const first = await importInto(grace.http, lines, { 'batch-id': 'guides' });
    expect([first.status, first.body]).toEqual([200, expected]);
    const again = await importInto(grace.http, [...lines, document(8)], { 'batch-id': 'guides' });
    expect([again.status, again.body]).toEqual([200, { ...expected, accepted: 3 }]);
    const titles = (await allPages<{ title: string }>(grace.http, '/v1/documents', 200)).map(({ title }) => title).sort();
    expect(titles).toEqual(['nr 1', 'nr 7', 'nr 8']);
    expectProblem(await grace.http.post('/v1/documents/bulk', [text]), 415, 'UNSUPPORTED_MEDIA_TYPE');
  });

  it('of somebody else are like documents that do not exist, on every route', async () => {
    const [grace, boss] = [await run.newLearner(), await run.admin()];
    const document = await newDocument(ada.http, { content: 'A secret about platypuses.', embedding: vector(0, 0, 1) });
    for (const http of [grace.http, boss]) {
      for (const [method, body] of [['GET'], ['PATCH', { title: 'Mine now' }], ['DELETE']] as [string, object?][]) {
        const foreign = await http.send(method, document.path, body);
        const missing = await http.send(method, `/v1/documents/${randomUUID()}`, body);
        expectProblem(foreign, 404, 'NOT_FOUND');
        expect({ ...foreign.body, traceId: '' }).toEqual({ ...missing.body, traceId: '' });
      }
      for (const search of [{ text: 'platypuses' }, { vector: vector(0, 0, 1) }]) {
        expect((await http.post('/v1/documents/search', { ...search, k: 100 })).body).toMatchObject({
          items: [],
          meta: { estimatedMatches: 0 },
        });
      }
      expect(await allPages(http, '/v1/documents', 200)).toEqual([]);
    }
    expect((await ada.http.get(document.path)).body).toEqual(document.body);
  });

  describe("searched, when Fastify's guides are the learner's", () => {
    const PATHS = [
      'Reference/Validation-and-Serialization.md',
      'Reference/Logging.md',
      'Guides/Testing.md',
      'Guides/Database.md',
    ];
    let grace: TestLearner;
    const search = (body: object): Promise<Answer> => grace.http.post('/v1/documents/search', { k: 10, ...body });

    beforeAll(async () => {
      grace = await run.newLearner();
      const documents = PATHS.map((path) => ({
        type: path.startsWith('Guides') ? 'guide' : 'reference',
        title: path,
        content: guide(path),
        metadata: { source: 'fastify', length: wholeGuide(path).length > 20_000 ? 'long' : 'short' },
      }));
      expect((await importInto(grace.http, documents)).body.accepted).toBe(PATHS.length);
      await until(async () => {
        const listed = await allPages<{ status: string }>(grace.http, '/v1/documents', 200);
        return listed.every(({ status }) => status === 'ready');
      }, 120_000);
    }, 150_000);

    it('a question is answered with a fitting passage', async () => {
      const { status, body } = await search({ text: 'validate the request body' });
      expect(status).toBe(200);
      expect(body.items).toHaveLength(10);
      // Which of the best is the very first is left to the model: it is a small one.
      const fitting = body.items
        .slice(0, 3)
        .find(
          ({ document }: { document: { title: string } }) => document.title === 'Reference/Validation-and-Serialization.md',
        );
      expect(fitting.passage.text).toMatch(/valid/i);
      expect(fitting.passage.text).toMatch(/body/i);
      expect(guide(fitting.document.title).slice(fitting.passage.startsAt, fitting.passage.endsAt)).toBe(fitting.passage.text);
      expect(fitting.passage.headings[0]).toBe('Validation and Serialization');
      expect(body.meta).toMatchObject({
        strategy: 'signs+text',
        estimatedMatches: expect.any(Number),
        tookMs: expect.any(Number),
      });
    });

    it.each([
      ['where do log lines go', 'Reference/Logging.md'],
      ['how to write unit tests for my routes', 'Guides/Testing.md'],
      ['connect to postgres', 'Guides/Database.md'],
    ])('"%s" is answered by %s', async (question, title) => {
      const { body } = await search({ text: question, k: 3 });
      expect(body.items.map((item: any) => item.document.title)).toContain(title);
    });

    it('each mode answers exactly min(k, matches), best first, the same every time', async () => {
      for (const mode of ['hybrid', 'vector', 'text']) {
        const { body } = await search({ text: 'serialization', mode, k: 100 });
        expect(body.items).toHaveLength(Math.min(100, body.meta.estimatedMatches));
        const scores = body.items.map(({ score }: any) => score);
        expect(scores).toEqual([...scores].sort((a, b) => b - a));
        expect((await search({ text: 'serialization', mode, k: 100 })).body.items).toEqual(body.items);
        expect((await search({ text: 'serialization', mode, k: 3 })).body.items).toEqual(body.items.slice(0, 3));
      }
    });

    it('AI-10 filters by type and by what the metadata contain', async () => {
      const guides = (await search({ text: 'plugin', filter: { type: 'guide' }, k: 100 })).body.items;
      expect(new Set(guides.map((item: any) => item.document.type))).toEqual(new Set(['guide']));
      const short = (await search({ text: 'plugin', filter: { metadata: { length: 'short', source: 'fastify' } }, k: 100 }))
        .body;
      expect(new Set(short.items.map((item: any) => item.document.metadata.length))).toEqual(new Set(['short']));
      expect((await search({ text: 'plugin', filter: { metadata: { length: 'none' } } })).body.items).toEqual([]);
      const refused = await search({ text: 'plugin', filter: { titel: 'x' } });
      expectProblem(refused, 422, 'FILTER_UNKNOWN');
      expect(refused.body.errors).toMatchObject([{ path: 'filter.titel' }]);
    });

    it.each([
      ['nothing to look for', {}],
      ['an empty text', { text: '' }],
      ['a blank text', { text: '   ' }],
      ['a text that is too long', { text: 'x'.repeat(2001) }],
      ['a text that is a number', { text: 7 }],
      ['k = 0', { text: 'x', k: 0 }],
      ['k = 101', { text: 'x', k: 101 }],
      ['k = 1.5', { text: 'x', k: 1.5 }],
      ['an unknown mode', { text: 'x', mode: 'magic' }],
      ['a vector, by words', { vector: vector(1), mode: 'text' }],
      ['a type that is a number', { text: 'x', filter: { type: 7 } }],
      ['metadata that are an array', { text: 'x', filter: { metadata: [] } }],
    ])('%s is refused', async (_, body) => {
      expectProblem(await search(body), 422, 'VALIDATION_FAILED');
    });
  });

  it('the metrics say how much waits and how much was done', async () => {
    const { text: metrics } = await new HttpClient(run.background.url).get('/metrics');
    expect(metrics).toMatch(/^studently_jobs_waiting\{job="embed-document"\} \d+$/m);
    expect(Number(/^studently_embedded_passages_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(50);
    expect(Number(/^studently_failed_documents_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThanOrEqual(4);
  });
});
