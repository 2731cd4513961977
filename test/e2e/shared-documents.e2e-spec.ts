import { randomUUID } from 'node:crypto';
import { waysToRun } from '../support/api-process';
import type { HttpClient, RequestOptions, TestLearner } from '../support/http';
import { allPages, expectProblem, RunningApi, until } from './support';

const vector = (...first: number[]) => [...first, ...Array<number>(1536 - first.length).fill(0)];

describe.each(waysToRun)('shared documents, $name', (way) => {
  const run = new RunningApi(way, {}, { withWorker: true });
  let ada: TestLearner;
  let teacher: TestLearner;
  beforeAll(async () => {
    ada = await run.newLearner();
    teacher = await run.newUser('TEACHER');
  });

  const add = async (http: HttpClient, body: object = {}): Promise<string> => {
    const wanted = { type: 'guide', content: 'The numbat eats termites.', embedding: vector(1), ...body };
    const answer = await http.post('/v1/documents', wanted);
    expect([201, 202]).toContain(answer.status);
    return `/v1/documents/${answer.body.id}`;
  };
  const publish = (http: HttpClient, path: string, options?: RequestOptions) =>
    http.put(`${path}/publication`, undefined, options);
  const search = async (http: HttpClient, body: object) => {
    const answer = await http.post('/v1/documents/search', { k: 10, ...body });
    expect(answer.status).toBe(200);
    return answer.body;
  };
  const found = async (http: HttpClient, body: object): Promise<string[]> =>
    (await search(http, body)).items.map((item: { document: { id: string } }) => `/v1/documents/${item.document.id}`);

  it('AI-9 AI-10 what a teacher publishes everybody finds who asks for it, until it is withdrawn', async () => {
    const metadata = { course: randomUUID() };
    const [path, secret] = [await add(teacher.http, { title: 'Numbats', metadata }), await add(teacher.http, { metadata })];
    const filter = { metadata };
    const before = await teacher.http.get(path);
    expect(before.body.publishedAt).toBeNull();
    const published = await publish(teacher.http, path);
    expect([published.status, published.text]).toEqual([204, '']);
    const token = { headers: { 'x-read-token': published.headers.get('x-read-token')! } };
    const after = await teacher.http.get(path, token);
    expect(after.body).toEqual({
      ...before.body,
      ...{ publishedAt: expect.stringMatching(/Z$/), updatedAt: expect.any(String), version: before.body.version + 1 },
    });

    const { items, meta } = await search(ada.http, { vector: vector(1), filter, scope: 'shared' });
    expect(items).toEqual([
      {
        document: { id: before.body.id, type: 'guide', title: 'Numbats', metadata, publishedBy: teacher.id },
        passage: {
          id: expect.any(String),
          ordinal: 1,
          text: 'The numbat eats termites.',
          startsAt: 0,
          endsAt: 25,
          headings: [],
        },
        score: expect.closeTo(1, 3),
      },
    ]);
    expect(meta).toMatchObject({ strategy: 'shared-signs', why: expect.any(String), estimatedMatches: 1 });
    expect(await found(ada.http, { text: 'numbats', mode: 'text', filter, scope: 'all' })).toEqual([path]);
    expect(await found(ada.http, { vector: vector(1), filter, scope: 'own' })).toEqual([]);
    expect(await found(ada.http, { vector: vector(1), filter })).toEqual([]);
    expect((await found(teacher.http, { vector: vector(1), filter, scope: 'all' })).sort()).toEqual([path, secret].sort());
    // To be found is not to be read, or changed.
    for (const answer of [await ada.http.get(path), await ada.http.patch(path, { title: 'Mine' }), await ada.http.delete(path)])
      expectProblem(answer, 404, 'NOT_FOUND');

    for (let time = 0; time < 2; time++) expect((await teacher.http.delete(`${path}/publication`)).status).toBe(204);
    expect(await found(ada.http, { vector: vector(1), filter, scope: 'shared' })).toEqual([]);
    expect(await found(teacher.http, { vector: vector(1), filter })).toHaveLength(2);
  });

  it('what is embedded here is published with its passages, and found by meaning and by words together', async () => {
    const content = 'Chlorophyll makes leaves green.\n\n# Mitosis\nMitosis makes two cells out of one.';
    const path = await add(teacher.http, { content, embedding: undefined, metadata: { here: true } });
    const pending = await publish(teacher.http, path);
    if (pending.status !== 204) expectProblem(pending, 409, 'DOCUMENT_NOT_READY');
    await until(async () => (await teacher.http.get(path)).body.status === 'ready', 60_000);
    expect((await publish(teacher.http, path)).status).toBe(204);
    const asked = { text: 'Why are leaves green?', scope: 'all', filter: { metadata: { here: true } } };
    const { items, meta } = await search(ada.http, asked);
    expect(items[0]).toMatchObject({
      document: { publishedBy: teacher.id },
      passage: { ordinal: 1, text: expect.stringContaining('Chlorophyll'), highlights: expect.any(Array) },
    });
    expect(meta.strategy).toMatch(/^(exact|signs)\+shared-signs\+text$/);
    expect((await teacher.http.delete(path)).status).toBe(204);
    expect((await search(ada.http, asked)).items).toEqual([]);
  });

  it('SEC-1 a STUDENT publishes nothing, and nobody what is somebody else’s; a service what is of the learner whom it acts for', async () => {
    const path = await add(ada.http);
    for (const method of ['PUT', 'DELETE']) {
      expectProblem(await ada.http.send(method, `${path}/publication`), 403, 'FORBIDDEN');
      expectProblem(await teacher.http.send(method, `${path}/publication`), 404, 'NOT_FOUND');
    }
    const admin = await run.admin();
    const keyFor = async (...scopes: string[]): Promise<HttpClient> =>
      run.http.as((await admin.post('/v1/service-accounts', { name: randomUUID(), scopes })).body.key);
    const actingFor = { headers: { 'x-act-as': ada.id } };
    const reader = await keyFor('documents:read');
    expectProblem(await publish(reader, path, actingFor), 403, 'FORBIDDEN');
    const writer = await keyFor('documents:read', 'documents:write');
    expect((await publish(writer, path, actingFor)).status).toBe(204);
    expect(await found(teacher.http, { vector: vector(1), scope: 'shared' })).toContain(path);
    expect((await writer.delete(`${path}/publication`, actingFor)).status).toBe(204);
  });

  it('a list has what is published, what was published last first, page by page', async () => {
    const type = 'lecture';
    const paths: string[] = [];
    for (let nr = 0; nr < 5; nr++) {
      const path = await add(teacher.http, { type, title: `Lecture ${nr}` });
      expect((await publish(teacher.http, path)).status).toBe(204);
      paths.unshift(path);
    }
    const listed = await allPages<{ id: string; title: string; publishedBy: string }>(
      ada.http,
      `/v1/documents/shared?type=${type}`,
      2,
    );
    expect(listed.map(({ id }) => `/v1/documents/${id}`)).toEqual(paths);
    expect(listed[0]).toEqual({
      ...{ id: expect.any(String), type, title: 'Lecture 4', metadata: {} },
      ...{ publishedBy: teacher.id, publishedAt: expect.stringMatching(/Z$/) },
    });
    expect((await run.http.get('/v1/documents/shared')).status).toBe(401);
  });

  it('goes with the account of who has published it; a version that is not the current one is not published', async () => {
    const leaving = await run.newUser('TEACHER');
    const path = await add(leaving.http);
    const { headers } = await leaving.http.get(path);
    expect((await leaving.http.patch(path, { title: 'Changed' })).status).toBe(200);
    const stale = await publish(leaving.http, path, { headers: { 'if-match': headers.get('etag')! } });
    expectProblem(stale, 412, 'VERSION_MISMATCH');
    expect((await publish(leaving.http, path)).status).toBe(204);
    expect(await found(ada.http, { vector: vector(1), scope: 'shared' })).toContain(path);
    expect((await leaving.http.delete(`/v1/users/${leaving.id}`)).status).toBe(204);
    expect(await found(ada.http, { vector: vector(1), scope: 'shared' })).not.toContain(path);
  });
});
