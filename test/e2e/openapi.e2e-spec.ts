import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { waysToRun } from '../support/api-process';
import type { Answer } from '../support/http';
import { expectProblem, newEmail, newPassword, RunningApi } from './support';

const CHECKED_IN = join(__dirname, '../../docs/openapi.json');

const ROUTES = [
  'POST /v1/users',
  'GET /v1/users',
  'GET /v1/users/me',
  'GET /v1/users/{userId}',
  'PATCH /v1/users/{userId}',
  'DELETE /v1/users/{userId}',
  'PUT /v1/users/{userId}/password',
  'PUT /v1/users/{userId}/role',
  ...['GET', 'PUT', 'PATCH', 'DELETE'].map((method) => `${method} /v1/users/{userId}/profile`),
  ...['GET', 'PUT', 'DELETE'].map((method) => `${method} /v1/users/{userId}/subscription`),
  'POST /v1/sessions',
  'GET /v1/sessions',
  'DELETE /v1/sessions',
  'GET /v1/sessions/current',
  'DELETE /v1/sessions/current',
  ...['POST', 'GET'].map((method) => `${method} /v1/users/{userId}/grants`),
  'DELETE /v1/users/{userId}/grants/{grantId}',
  'GET /v1/learners',
  ...[
    ...['progress', 'progress/{progressId}', 'study/items', 'study/items/{itemId}', 'study/items/{itemId}/reviews'],
    ...['study/due', 'study/stats', 'study/forecast', 'documents', 'documents/{documentId}', 'chats', 'chats/{chatId}'],
  ].map((path) => `GET /v1/learners/{userId}/${path}`),
  ...['POST', 'GET'].map((method) => `${method} /v1/service-accounts`),
  'DELETE /v1/service-accounts/{accountId}',
  'POST /v1/service-accounts/{accountId}/keys',
  'DELETE /v1/service-accounts/{accountId}/keys/{keyId}',
  'POST /v1/chats',
  'GET /v1/chats',
  'GET /v1/chats/{chatId}',
  'PATCH /v1/chats/{chatId}',
  'DELETE /v1/chats/{chatId}',
  'GET /v1/chats/{chatId}/export',
  'GET /v1/chats/{chatId}/leaves',
  'POST /v1/chats/search',
  'POST /v1/chats/{chatId}/messages',
  'POST /v1/chats/{chatId}/context',
  'PUT /v1/chats/{chatId}/context-vector',
  'POST /v1/documents',
  'GET /v1/documents',
  'POST /v1/documents/bulk',
  'POST /v1/documents/search',
  'GET /v1/documents/shared',
  ...['PUT', 'DELETE'].map((method) => `${method} /v1/documents/{documentId}/publication`),
  ...['GET', 'PATCH', 'DELETE'].map((method) => `${method} /v1/documents/{documentId}`),
  'POST /v1/study/items',
  'GET /v1/study/items',
  'POST /v1/study/items/bulk',
  ...['GET', 'PATCH', 'DELETE'].map((method) => `${method} /v1/study/items/{itemId}`),
  ...['GET', 'POST'].map((method) => `${method} /v1/study/items/{itemId}/reviews`),
  'POST /v1/study/items/{itemId}/reviews/undo',
  ...['due', 'stats', 'forecast'].map((view) => `GET /v1/study/${view}`),
  'POST /v1/progress',
  'GET /v1/progress',
  ...['GET', 'PATCH', 'DELETE'].map((method) => `${method} /v1/progress/{progressId}`),
  'GET /v1/events',
  'GET /health/live',
  'GET /health/ready',
  'GET /health/startup',
];

// The document is the same both ways: once is enough.
describe('the OpenAPI document', () => {
  const run = new RunningApi(waysToRun.at(-1)!);
  let document: any;
  beforeAll(async () => {
    document = (await run.http.get('/openapi.json')).body;
  });

  it('is OpenAPI 3.1 and names every route', () => {
    expect(document.openapi).toBe('3.1.0');
    const named = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(named.sort()).toEqual([...ROUTES].sort());
    const ids = Object.values<Record<string, { operationId: string }>>(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(ids).toEqual([...new Set(ids)]);
  });

  it('refers to nothing that is not in it', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference!);
    expect(references.length).toBeGreaterThan(0);
    for (const reference of new Set(references)) {
      const target = reference
        .split('/')
        .slice(1)
        .reduce((node, step) => node?.[step], document);
      expect({ reference, found: target !== undefined }).toEqual({ reference, found: true });
    }
  });

  it('says of each route what it is for, and shows a body that it takes', () => {
    const ajv = new Ajv2020({ strict: false });
    (addFormats as unknown as typeof addFormats.default)(ajv);
    const operations = Object.values<Record<string, any>>(document.paths).flatMap((methods) => Object.values(methods));
    for (const { operationId, summary, requestBody } of operations) {
      expect([operationId, summary]).toEqual([operationId, expect.stringMatching(/^[A-Z].*[^.]$/)]);
      // A vector is too long to be shown; a line of a bulk request is shown where it is sent alone.
      if (!requestBody || ['setContextVector', 'importDocuments', 'importStudyItems'].includes(operationId)) continue;
      const { schema } = requestBody.content['application/json'];
      expect([operationId, schema.example]).toEqual([operationId, expect.any(Object)]);
      expect([operationId, ajv.validate(schema, schema.example), ajv.errors]).toEqual([operationId, true, null]);
    }
  });

  it('has a page for people at /docs', async () => {
    const page = await run.http.get('/docs');
    expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')]);
    expectProblem(await run.http.get('/openapi.yaml'), 404, 'NOT_FOUND');
  });

  it('DC-8 is checked in as docs/openapi.json (UPDATE_OPENAPI=1 writes it)', () => {
    const wanted = `${JSON.stringify(document, null, 2)}\n`;
    if (process.env['UPDATE_OPENAPI'] === '1') writeFileSync(CHECKED_IN, wanted);
    expect(existsSync(CHECKED_IN) && readFileSync(CHECKED_IN, 'utf8')).toBe(wanted);
  });

  it('DC-8 describes what is answered', async () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    (addFormats as unknown as typeof addFormats.default)(ajv);
    ajv.addSchema(document, 'api');
    const part = (...path: string[]) =>
      `api#/${path
        .map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1'))
        .map(encodeURIComponent)
        .join('/')}`;

    /** The faults of an answer by the schema of its route and status. */
    const faultsOf = (route: string, answer: Answer): unknown => {
      const [method, path] = route.split(' ') as [string, string];
      const { responses } = document.paths[path][method.toLowerCase()];
      const status = responses[answer.status] ? String(answer.status) : 'default';
      const type = answer.headers.get('content-type')?.split(';')[0] ?? '';
      if (answer.status === 204) return responses[204].content === undefined && answer.text === '' ? [] : ['a body'];
      if (!responses[status]?.content?.[type]) return [`no ${type} for ${answer.status}`];
      const validate = ajv.getSchema(
        part('paths', path, method.toLowerCase(), 'responses', status, 'content', type, 'schema'),
      )!;
      return validate(answer.body) ? [] : validate.errors;
    };

    const ada = await run.newLearner();
    const boss = await run.admin();
    const me = `/v1/users/${ada.id}`;
    const profile = { firstName: 'Ada', lastName: 'Lovelace', preferences: { theme: 'dark', nested: [1, { a: null }] } };
    const period = { currentPeriodStart: '2026-01-01T00:00:00Z', currentPeriodEnd: '2026-02-01T01:00:00+01:00' };
    const chat = await ada.http.post('/v1/chats', { title: 'A chat', messages: [{ role: 'user', content: 'Hello' }] });
    const at = `/v1/chats/${chat.body.id}`;
    const progress = await ada.http.post('/v1/progress', { category: 'a', score: 1e-7, metadata: { a: [1] } });
    const entry = `/v1/progress/${progress.body.id}`;
    const vector = Array<number>(1536).fill(1);
    const kept = await ada.http.post('/v1/documents', { type: 'text', content: 'Ready.', embedding: vector });
    const documentPath = `/v1/documents/${kept.body.id}`;
    const card = { type: 'flashcard', content: { front: 'bonjour', back: 'good morning' }, tags: ['french'] };
    const item = await ada.http.post('/v1/study/items', card);
    const itemPath = `/v1/study/items/${item.body.id}`;
    const ndjson = { headers: { 'content-type': 'application/x-ndjson' } };
    const review = { clientReviewId: 'a', rating: 3, durationMs: 1200 };
    const account = await boss.post('/v1/service-accounts', { name: newEmail(), scopes: ['study:read'] });
    const keys = `/v1/service-accounts/${account.body.id}/keys`;
    const added = await boss.post(keys, { expiresAt: '2100-01-01T00:00:00Z' });
    const teacher = await run.newUser('TEACHER');
    const taught = await teacher.http.post('/v1/documents', { type: 'text', content: 'Shared.', embedding: vector });
    const publication = `/v1/documents/${taught.body.id}/publication`;
    const scopes = ['progress', 'study', 'documents', 'chats'];
    const grant = await ada.http.post(`${me}/grants`, { teacherId: teacher.id, scopes });
    const shared = async (route: string, path = route): Promise<[string, Answer, number]> => [
      `GET /v1/learners/{userId}/${route}`,
      await teacher.http.get(`/v1/learners/${ada.id}/${path}`),
      200,
    ];
    const answers: [route: string, answer: Answer, status: number][] = [
      ['POST /v1/users', await run.http.post('/v1/users', { email: newEmail(), password: newPassword(), profile }), 201],
      ['POST /v1/users', await run.http.post('/v1/users', { email: newEmail(), password: 'short' }), 422],
      ['POST /v1/sessions', await run.http.post('/v1/sessions', { email: ada.email, password: ada.password }), 201],
      ['POST /v1/sessions', await run.http.post('/v1/sessions', { email: ada.email, password: 'wrong' }), 401],
      ['GET /v1/sessions', await ada.http.get('/v1/sessions'), 200],
      ['GET /v1/sessions/current', await ada.http.get('/v1/sessions/current'), 200],
      ['PUT /v1/users/{userId}/profile', await ada.http.put(`${me}/profile`, profile), 200],
      ['PATCH /v1/users/{userId}/profile', await ada.http.patch(`${me}/profile`, { lastName: 'King' }), 200],
      ['PATCH /v1/users/{userId}/profile', await ada.http.patch(`${me}/profile`, {}, { headers: { 'if-match': '"0"' } }), 412],
      ['GET /v1/users/{userId}/profile', await ada.http.get(`${me}/profile`), 200],
      [
        'PUT /v1/users/{userId}/subscription',
        await boss.put(`${me}/subscription`, { plan: 'gold', status: 'active', ...period }),
        200,
      ],
      [
        'PUT /v1/users/{userId}/subscription',
        await ada.http.put(`${me}/subscription`, { plan: 'gold', status: 'active', ...period }),
        403,
      ],
      ['GET /v1/users/{userId}/subscription', await ada.http.get(`${me}/subscription`), 200],
      ['GET /v1/users/me', await ada.http.get('/v1/users/me'), 200],
      ['PATCH /v1/users/{userId}', await ada.http.patch(me, { email: newEmail() }), 200],
      ['GET /v1/users', await boss.get('/v1/users?limit=2'), 200],
      ['GET /v1/users', await ada.http.get('/v1/users'), 403],
      ['PUT /v1/users/{userId}/role', await boss.put(`/v1/users/${(await run.newLearner()).id}/role`, { role: 'DPO' }), 200],
      ['POST /v1/users/{userId}/grants', grant, 201],
      ['GET /v1/users/{userId}/grants', await ada.http.get(`${me}/grants`), 200],
      ['GET /v1/learners', await teacher.http.get('/v1/learners'), 200],
      await shared('progress'),
      await shared('progress', 'progress?bucket=day'),
      await shared('progress/{progressId}', `progress/${progress.body.id}`),
      await shared('study/items'),
      await shared('study/items/{itemId}', `study/items/${item.body.id}`),
      await shared('study/items/{itemId}/reviews', `study/items/${item.body.id}/reviews`),
      await shared('study/due'),
      await shared('study/stats'),
      await shared('study/forecast'),
      await shared('documents'),
      await shared('documents/{documentId}', `documents/${kept.body.id}`),
      await shared('chats'),
      await shared('chats/{chatId}', `chats/${chat.body.id}`),
      ['GET /v1/learners/{userId}/chats', await ada.http.get(`/v1/learners/${teacher.id}/chats`), 404],
      ['DELETE /v1/users/{userId}/grants/{grantId}', await ada.http.delete(`${me}/grants/${grant.body.id}`), 204],
      ['POST /v1/service-accounts', account, 201],
      ['POST /v1/service-accounts/{accountId}/keys', added, 201],
      ['GET /v1/service-accounts', await boss.get('/v1/service-accounts'), 200],
      ['DELETE /v1/service-accounts/{accountId}/keys/{keyId}', await boss.delete(`${keys}/${added.body.id}`), 204],
      ['POST /v1/chats', chat, 201],
      [
        'POST /v1/chats/{chatId}/messages',
        await ada.http.post(`${at}/messages`, { role: 'tool', content: '', metadata: { a: 1.5 } }),
        201,
      ],
      ['GET /v1/chats/{chatId}', await ada.http.get(`${at}?limit=1`), 200],
      ['GET /v1/chats/{chatId}/export', await ada.http.get(`${at}/export`), 200],
      ['GET /v1/chats/{chatId}/leaves', await ada.http.get(`${at}/leaves`), 200],
      ['POST /v1/chats/search', await ada.http.post('/v1/chats/search', { text: 'a chat' }), 200],
      ['POST /v1/chats/search', await ada.http.post('/v1/chats/search', { k: 1 }), 422],
      ['POST /v1/chats/{chatId}/context', await ada.http.post(`${at}/context`, { text: 'a chat', tokenBudget: 500 }), 200],
      ['POST /v1/chats/{chatId}/context', await ada.http.post(`${at}/context`, { text: 'a chat' }), 422],
      ['POST /v1/documents', kept, 201],
      ['POST /v1/documents', await ada.http.post('/v1/documents', { type: 'text', content: 'Pending.' }), 202],
      ['GET /v1/documents/{documentId}', await ada.http.get(documentPath), 200],
      ['GET /v1/documents', await ada.http.get('/v1/documents'), 200],
      ['POST /v1/documents/search', await ada.http.post('/v1/documents/search', { vector }), 200],
      ['POST /v1/documents/search', await ada.http.post('/v1/documents/search', { text: 'x', filter: { a: 1 } }), 422],
      ['PUT /v1/documents/{documentId}/publication', await teacher.http.put(publication, undefined), 204],
      ['PUT /v1/documents/{documentId}/publication', await ada.http.put(publication, undefined), 403],
      ['GET /v1/documents/{documentId}', await teacher.http.get(`/v1/documents/${taught.body.id}`), 200],
      ['GET /v1/documents/shared', await ada.http.get('/v1/documents/shared'), 200],
      ['POST /v1/documents/search', await ada.http.post('/v1/documents/search', { vector, scope: 'all' }), 200],
      ['DELETE /v1/documents/{documentId}/publication', await teacher.http.delete(publication), 204],
      ['PATCH /v1/documents/{documentId}', await ada.http.patch(documentPath, { title: 'Renamed' }), 200],
      ['DELETE /v1/documents/{documentId}', await ada.http.delete(documentPath), 204],
      ['PUT /v1/chats/{chatId}/context-vector', await ada.http.put(`${at}/context-vector`, { vector, model: 'm' }), 204],
      ['GET /v1/chats', await ada.http.get('/v1/chats'), 200],
      ['GET /v1/chats', await ada.http.get('/v1/chats?limit=0'), 422],
      ['POST /v1/study/items', item, 201],
      ['POST /v1/study/items', await ada.http.post('/v1/study/items', { ...card, content: {} }), 422],
      [
        'POST /v1/study/items/bulk',
        await ada.http.post('/v1/study/items/bulk', `${JSON.stringify(card)}\nnot JSON`, ndjson),
        200,
      ],
      ['GET /v1/study/items', await ada.http.get('/v1/study/items?type=flashcard'), 200],
      ['GET /v1/study/due', await ada.http.get('/v1/study/due'), 200],
      ['POST /v1/study/items/{itemId}/reviews', await ada.http.post(`${itemPath}/reviews`, review), 201],
      ['GET /v1/study/items/{itemId}/reviews', await ada.http.get(`${itemPath}/reviews`), 200],
      ['GET /v1/study/items/{itemId}', await ada.http.get(itemPath), 200],
      ['GET /v1/study/stats', await ada.http.get('/v1/study/stats'), 200],
      ['GET /v1/study/forecast', await ada.http.get('/v1/study/forecast?days=2'), 200],
      ['POST /v1/study/items/{itemId}/reviews/undo', await ada.http.post(`${itemPath}/reviews/undo`, {}), 200],
      ['POST /v1/study/items/{itemId}/reviews/undo', await ada.http.post(`${itemPath}/reviews/undo`, {}), 409],
      ['PATCH /v1/study/items/{itemId}', await ada.http.patch(itemPath, { tags: [] }), 200],
      ['DELETE /v1/study/items/{itemId}', await ada.http.delete(itemPath), 204],
      ['POST /v1/progress', progress, 201],
      ['POST /v1/progress', await ada.http.post('/v1/progress', { category: 'a', score: 101 }), 422],
      ['GET /v1/progress', await ada.http.get('/v1/progress'), 200],
      ['GET /v1/progress', await ada.http.get('/v1/progress?bucket=week'), 200],
      ['GET /v1/progress', await ada.http.get('/v1/progress?bucket=hour&from=2000-01-01'), 422],
      ['GET /v1/progress/{progressId}', await ada.http.get(entry), 200],
      ['PATCH /v1/progress/{progressId}', await ada.http.patch(entry, { score: 12.5 }), 200],
      ['DELETE /v1/progress/{progressId}', await ada.http.delete(entry), 204],
      ['PATCH /v1/chats/{chatId}', await ada.http.patch(at, { title: 'Renamed' }), 200],
      ['DELETE /v1/chats/{chatId}', await ada.http.delete(at), 204],
      ['GET /v1/chats/{chatId}', await ada.http.get(at), 404],
      ['GET /health/live', await run.http.get('/health/live'), 200],
      ['GET /health/ready', await run.http.get('/health/ready'), 200],
    ];
    for (const [route, answer, status] of answers) {
      expect({ route, status: answer.status, faults: faultsOf(route, answer) }).toEqual({ route, status, faults: [] });
    }
    // The schemas can say no: nothing passes that is not described.
    const [, user] = answers[0]!;
    expect(faultsOf('POST /v1/users', { ...user, body: { ...user.body, role: 'KING' } })).not.toEqual([]);
    expect(faultsOf('POST /v1/users', { ...user, body: { ...user.body, passwordHash: 'x' } })).not.toEqual([]);
  });
});
