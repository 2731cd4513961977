import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import type { Answer, HttpClient, TestLearner } from '../support/http';
import { newEmail, newPassword, RunningApi, until } from './support';

type Kind =
  | 'text'
  | 'anyText'
  | 'email'
  | 'secret'
  | 'uuid'
  | 'object'
  | 'choice'
  | 'time'
  | 'flag'
  | 'messages'
  | 'which'
  | 'budget'
  | 'score'
  | 'tags'
  | 'scopes'
  | 'rating'
  | 'duration'
  | 'title'
  | 'content'
  | 'vector'
  | 'k';

interface Route {
  method: string;
  path: string;
  /** A body that would be accepted. */
  body?: Record<string, unknown>;
  /** What kind of value each of its fields wants, in dots. */
  fields?: Record<string, Kind>;
  /** Fields that may not be missing. */
  required?: string[];
  /** Query strings that must be refused. */
  queries?: string[];
  as: 'nobody' | 'learner' | 'admin' | 'teacher';
  /** 412 for an If-Match that is not the version. */
  versioned?: true;
  /** Takes an Idempotency-Key. */
  idempotent?: true;
}

const NUL = 'a\0b';
const LONE_SURROGATE = 'a\ud800b';
const HUGE_TEXT = 'x'.repeat(300_000);
const DEEP = 100_000;
const nested = (levels: number) => JSON.parse('[{"a":'.repeat(levels / 2) + '1' + '}]'.repeat(levels / 2));

/** Values that a field of a kind must refuse. */
const WRONG: Record<Kind, unknown[]> = {
  anyText: [null, 7, true, [], {}, NUL, LONE_SURROGATE, HUGE_TEXT],
  text: [null, -7, true, [], { a: 1 }, '', NUL, LONE_SURROGATE, HUGE_TEXT],
  email: [null, 7, '', 'nobody', '@', 'a@b', `${'x'.repeat(250)}@example.org`, 'a\0@example.org', [newEmail()]],
  secret: [null, 7, true, [], {}, '', NUL, LONE_SURROGATE, HUGE_TEXT],
  uuid: [7, '', 'x', `{${randomUUID()}}`, `${randomUUID()}0`, [randomUUID()], { id: 1 }, NUL, -1],
  object: [7, 'x', true, [], [{}], { a: NUL }, { a: LONE_SURROGATE }, { [NUL]: 1 }, { a: nested(40) }],
  choice: [null, 7, true, '', 'KING', 'student', [], {}, NUL],
  time: [null, 7, 1e308, '', 'yesterday', '2026-13-01T00:00:00Z', '2026-02-30T00:00:00Z', '2026-01-01', [], {}, NUL],
  score: [null, -0.001, 100.001, 1e308, '50', true, [], {}, NUL],
  tags: [null, 7, 'x', {}, [7], [null], [[]], [''], [' '], ['x'.repeat(101)], [NUL], [LONE_SURROGATE], Array(51).fill('x')],
  scopes: [null, 7, 'study:read', {}, [], [7], [null], ['KING'], [NUL], Array(12).fill('study:read')],
  rating: [null, 0, 5, 2.5, -1, 1e308, '3', true, [], {}, NUL],
  duration: [null, -1, 0.5, 86_400_001, 1e308, '5', true, [], {}],
  title: [-7, true, [], { a: 1 }, '', ' ', 'x'.repeat(301), NUL, LONE_SURROGATE, HUGE_TEXT],
  content: [null, 7, true, [], {}, '', NUL, LONE_SURROGATE, 'x'.repeat(2 ** 20 + 1)],
  vector: [
    null,
    7,
    'x',
    true,
    {},
    [],
    [1],
    Array(1536).fill(0),
    Array(1536).fill('1'),
    Array(1536).fill(1e39),
    Array(1537).fill(1),
  ],
  k: [null, 0, -1, 101, 1.5, 1e308, '5', true, [], {}],
  budget: [null, 0, -1, 200_001, 1.5, 1e308, '5', true, [], {}],
  flag: [null, 0, 1, 'true', '', [], {}],
  which: [null, 0, 1, '', 'true', 'KING', [], {}, NUL],
  messages: [
    7,
    'x',
    {},
    [null],
    [7],
    [[]],
    [{ role: 'user' }],
    [{ role: 'user', content: NUL }],
    Array(201).fill({ role: 'user', content: 'x' }),
  ],
};

/** Bodies that no route can accept, as they go over the wire. */
const BROKEN_BODIES: Record<string, string> = {
  empty: '',
  blank: ' \n',
  'half an object': '{"title": "x"',
  'a trailing comma': '{"title": "x",}',
  'single quotes': `{'title': 'x'}`,
  text: '"text"',
  number: '7',
  null: 'null',
  true: 'true',
  array: '[]',
  'array of objects': '[{"title": "x"}]',
  NaN: '{"title": NaN}',
  Infinity: '{"title": -Infinity}',
  'a number beyond double': '{"title": "x", "metadata": {"a": 1e400}}',
  'a huge negative number': '{"title": "x", "metadata": {"a": -1e999}}',
  'prototype key': '{"__proto__": {"role": "ADMIN"}}',
  'constructor key': '{"constructor": {"prototype": {"role": "ADMIN"}}}',
  'deep arrays, open': '['.repeat(DEEP),
  'deep arrays': '['.repeat(DEEP) + ']'.repeat(DEEP),
  'deep objects': '{"a":'.repeat(DEEP) + '1' + '}'.repeat(DEEP),
  '10 MB': JSON.stringify({ title: 'x'.repeat(10 * 1024 * 1024) }),
};

const PAGE_QUERIES = [
  ...['0', '-1', '1e9', 'abc', '', '1.5', '201', 'NaN', '%00', '1%27'].map((limit) => `limit=${limit}`),
  'limit=1&limit=2',
  ...['garbage', '%00', '%zz', 'x'.repeat(300), '..'].map((cursor) => `cursor=${cursor}`),
  ...['2026-02-30T00:00:00.000Z', '0000-01-01T00:00:00.000Z', '2026-01-01T24:00:00.000Z', '2026-01-01T00:00:00.000Z'].map(
    (moment, index) => `cursor=${Buffer.from(`${moment}.${index === 3 ? 'x' : randomUUID()}`).toString('base64url')}`,
  ),
];

const BAD_IDS = [
  'x',
  '7',
  '-1',
  'null',
  '%00',
  `${randomUUID()}0`,
  `{${randomUUID()}}`,
  '%F0%9F%92%A9',
  '..%2F..%2Fetc%2Fpasswd',
  'x'.repeat(3000),
  '%zz',
  '%ED%A0%80',
];

const BAD_TOKENS = [
  '',
  'Bearer',
  'Bearer ',
  'Bearer x y',
  'Basic YTpi',
  `Bearer ${'x'.repeat(5000)}`,
  'Bearer \u00e9',
  `Bearer ${Buffer.alloc(64).toString('base64url')}`,
];

function tableOfDocumentRoutes(document: string, taught: string, chat: string): Route[] {
  const [documents, path] = ['/v1/documents', `/v1/documents/${document}`];
  const write = { versioned: true, idempotent: true } as const;
  const vector = Array(1536).fill(1);
  const body = { type: 'text', title: 'Grass', content: 'Grass is green.', metadata: { a: 1 }, embedding: vector };
  const fields: Record<string, Kind> = {
    ...{ type: 'choice', title: 'title', content: 'content', metadata: 'object', embedding: 'vector' },
  };
  return [
    {
      method: 'POST',
      path: documents,
      as: 'learner',
      idempotent: true,
      body: { id: randomUUID(), ...body },
      fields: { id: 'uuid', ...fields },
      required: ['type', 'content'],
    },
    // Its bodies are another story: documents.e2e-spec.ts.
    { method: 'POST', path: `${documents}/bulk`, as: 'learner' },
    {
      method: 'POST',
      path: `${documents}/search`,
      as: 'learner',
      body: { text: 'grass', k: 3, filter: { type: 'text', metadata: { a: 1 } }, mode: 'text', scope: 'all' },
      fields: {
        text: 'text',
        vector: 'vector',
        k: 'k',
        filter: 'object',
        'filter.metadata': 'object',
        mode: 'choice',
        scope: 'choice',
      },
      required: ['text'],
    },
    {
      method: 'GET',
      path: documents,
      as: 'learner',
      queries: [...PAGE_QUERIES, ...['', '%00', 'a%00b', 'x'.repeat(33)].map((type) => `type=${type}`)],
    },
    { method: 'GET', path: `${documents}/shared`, as: 'learner', queries: PAGE_QUERIES },
    { method: 'PUT', path: `${documents}/${taught}/publication`, as: 'teacher', ...write },
    { method: 'DELETE', path: `${documents}/${taught}/publication`, as: 'teacher', ...write },
    { method: 'GET', path, as: 'learner' },
    { method: 'PATCH', path, as: 'learner', ...write, body, fields },
    { method: 'DELETE', path, as: 'learner', ...write },
    {
      method: 'PUT',
      path: `/v1/chats/${chat}/context-vector`,
      as: 'learner',
      ...write,
      body: { vector, model: 'm' },
      fields: { vector: 'vector', model: 'text' },
      required: ['vector', 'model'],
    },
  ];
}

function tableOfStudyRoutes(item: string): Route[] {
  const [items, path] = ['/v1/study/items', `/v1/study/items/${item}`];
  const write = { versioned: true, idempotent: true } as const;
  const card = { type: 'flashcard', content: { front: 'a', back: 'b' }, tags: ['x'] };
  const fields: Record<string, Kind> = {
    ...{ type: 'choice', content: 'object', tags: 'tags' },
    ...{ 'content.front': 'text', 'content.back': 'text' },
  };
  const days = ['', 'x', '1e9', '2026-02-30', '2026-01-01T00:00:00Z', '%00', 'NaN'];
  return [
    {
      method: 'POST',
      path: items,
      as: 'learner',
      idempotent: true,
      body: { id: randomUUID(), ...card },
      fields: { id: 'uuid', ...fields },
      required: ['type', 'content', 'content.front', 'content.back'],
    },
    // Its bodies are another story: study.e2e-spec.ts.
    { method: 'POST', path: `${items}/bulk`, as: 'learner' },
    {
      method: 'GET',
      path: items,
      as: 'learner',
      queries: [
        ...PAGE_QUERIES,
        ...['', 'KING', '%00', 'a b', 'x'.repeat(33)].map((type) => `type=${type}`),
        ...['', '%00', 'a%00b', 'x'.repeat(101)].map((tag) => `tag=${tag}`),
      ],
    },
    { method: 'GET', path, as: 'learner' },
    { method: 'PATCH', path, as: 'learner', ...write, body: card, fields },
    {
      method: 'POST',
      path: `${path}/reviews`,
      as: 'learner',
      idempotent: true,
      body: { clientReviewId: randomUUID(), rating: 3, reviewedAt: '2026-01-01T00:00:00Z', durationMs: 5 },
      fields: { clientReviewId: 'text', rating: 'rating', reviewedAt: 'time', durationMs: 'duration' },
      required: ['clientReviewId', 'rating'],
    },
    { method: 'GET', path: `${path}/reviews`, as: 'learner', queries: PAGE_QUERIES },
    { method: 'POST', path: `${path}/reviews/undo`, as: 'learner', idempotent: true },
    { method: 'DELETE', path, as: 'learner', ...write },
    {
      method: 'GET',
      path: '/v1/study/due',
      as: 'learner',
      queries: PAGE_QUERIES.filter((query) => query.startsWith('limit')),
    },
    {
      method: 'GET',
      path: '/v1/study/stats',
      as: 'learner',
      queries: [
        ...days.flatMap((day) => [`from=${day}`, `to=${day}`]),
        'from=2026-01-02&to=2026-01-01',
        'from=0000-01-01&to=9999-12-31',
      ],
    },
    {
      method: 'GET',
      path: '/v1/study/forecast',
      as: 'learner',
      queries: ['', '0', '-1', '367', '1.5', 'x', '1e9', 'NaN', '%00'].map((ahead) => `days=${ahead}`),
    },
  ];
}

function tableOfAccessRoutes(account: string, user: string, teacher: string): Route[] {
  const grants = `/v1/users/${user}/grants`;
  const learner = `/v1/learners/${user}`;
  const days = ['', 'x', '2026-02-30', '%00'];
  const accounts = '/v1/service-accounts';
  return [
    {
      method: 'POST',
      path: accounts,
      as: 'admin',
      body: { name: randomUUID(), scopes: ['study:read'], expiresAt: '2100-01-01T00:00:00Z' },
      fields: { name: 'text', scopes: 'scopes', expiresAt: 'time' },
      required: ['name', 'scopes'],
    },
    { method: 'GET', path: accounts, as: 'admin', queries: PAGE_QUERIES },
    { method: 'DELETE', path: `${accounts}/${account}`, as: 'admin', idempotent: true },
    {
      method: 'POST',
      path: `${accounts}/${account}/keys`,
      as: 'admin',
      body: { expiresAt: '2100-01-01T00:00:00Z' },
      fields: { expiresAt: 'time' },
    },
    { method: 'DELETE', path: `${accounts}/${account}/keys/${randomUUID()}`, as: 'admin', idempotent: true },
    {
      method: 'POST',
      path: grants,
      as: 'learner',
      idempotent: true,
      body: { id: randomUUID(), teacherId: teacher, scopes: ['study'] },
      fields: { id: 'uuid', teacherId: 'uuid', scopes: 'scopes' },
      required: ['teacherId', 'scopes'],
    },
    { method: 'GET', path: grants, as: 'learner', queries: PAGE_QUERIES },
    { method: 'DELETE', path: `${grants}/${randomUUID()}`, as: 'learner', idempotent: true },
    { method: 'GET', path: '/v1/learners', as: 'teacher', queries: PAGE_QUERIES },
    { method: 'GET', path: `${learner}/progress`, as: 'teacher', queries: [...PAGE_QUERIES, 'bucket=month'] },
    { method: 'GET', path: `${learner}/progress/${randomUUID()}`, as: 'teacher' },
    { method: 'GET', path: `${learner}/study/items`, as: 'teacher', queries: PAGE_QUERIES },
    { method: 'GET', path: `${learner}/study/items/${randomUUID()}`, as: 'teacher' },
    { method: 'GET', path: `${learner}/study/items/${randomUUID()}/reviews`, as: 'teacher', queries: PAGE_QUERIES },
    { method: 'GET', path: `${learner}/study/due`, as: 'teacher', queries: ['limit=0', 'limit=x'] },
    { method: 'GET', path: `${learner}/study/stats`, as: 'teacher', queries: days.map((day) => `from=${day}`) },
    { method: 'GET', path: `${learner}/study/forecast`, as: 'teacher', queries: ['days=0', 'days=x'] },
    { method: 'GET', path: `${learner}/documents`, as: 'teacher', queries: PAGE_QUERIES },
    { method: 'GET', path: `${learner}/documents/${randomUUID()}`, as: 'teacher' },
    { method: 'GET', path: `${learner}/chats`, as: 'teacher', queries: PAGE_QUERIES },
    { method: 'GET', path: `${learner}/chats/${randomUUID()}`, as: 'teacher', queries: ['limit=0', 'after=-1'] },
  ];
}

function tableOfRoutes(learner: TestLearner, chat: string, message: string, progress: string): Route[] {
  const { id: user, email, password } = learner;
  const period = { currentPeriodStart: '2026-01-01T00:00:00Z', currentPeriodEnd: '2026-02-01T00:00:00Z' };
  const names: Record<string, Kind> = { firstName: 'text', lastName: 'text', preferences: 'object' };
  const ada = { firstName: 'Ada', lastName: 'Lovelace', preferences: { theme: 'dark' } };
  const prefixed = (fields: Record<string, Kind>) =>
    Object.fromEntries(Object.entries(fields).map(([name, kind]) => [`profile.${name}`, kind]));
  const users = `/v1/users/${user}`;
  const chats = `/v1/chats/${chat}`;
  const write = { versioned: true, idempotent: true } as const;
  return [
    {
      method: 'POST',
      path: '/v1/users',
      as: 'nobody',
      idempotent: true,
      body: { id: randomUUID(), email: newEmail(), password: newPassword(), profile: ada },
      fields: { id: 'uuid', email: 'email', password: 'secret', profile: 'object', ...prefixed(names) },
      required: ['email', 'password', 'profile.firstName', 'profile.lastName'],
    },
    {
      method: 'POST',
      path: '/v1/sessions',
      as: 'nobody',
      body: { email, password },
      fields: { email: 'text', password: 'secret' },
      required: ['email', 'password'],
    },
    {
      method: 'GET',
      path: '/v1/users',
      as: 'admin',
      queries: [...PAGE_QUERIES, 'role=KING', 'role=', 'email=', 'email=%00', `email=${'x'.repeat(300)}`],
    },
    { method: 'GET', path: '/v1/users/me', as: 'learner' },
    { method: 'GET', path: users, as: 'learner' },
    {
      method: 'PATCH',
      path: users,
      as: 'learner',
      ...write,
      body: { email: newEmail(), profile: ada },
      fields: { email: 'email', profile: 'object', ...prefixed(names) },
    },
    {
      method: 'PUT',
      path: `${users}/password`,
      as: 'learner',
      idempotent: true,
      body: { currentPassword: password, newPassword: newPassword() },
      fields: { currentPassword: 'secret', newPassword: 'secret' },
      required: ['currentPassword', 'newPassword'],
    },
    {
      method: 'PUT',
      path: `${users}/role`,
      as: 'admin',
      ...write,
      body: { role: 'TEACHER' },
      fields: { role: 'choice' },
      required: ['role'],
    },
    { method: 'GET', path: `${users}/profile`, as: 'learner' },
    {
      method: 'PUT',
      path: `${users}/profile`,
      as: 'learner',
      ...write,
      body: ada,
      fields: names,
      required: ['firstName', 'lastName'],
    },
    { method: 'PATCH', path: `${users}/profile`, as: 'learner', ...write, body: ada, fields: names },
    { method: 'DELETE', path: `${users}/profile`, as: 'learner', ...write },
    { method: 'GET', path: `${users}/subscription`, as: 'learner' },
    {
      method: 'PUT',
      path: `${users}/subscription`,
      as: 'admin',
      ...write,
      body: { plan: 'gold', status: 'active', ...period, cancelAtPeriodEnd: true, externalRef: 'ref' },
      fields: {
        plan: 'text',
        status: 'choice',
        currentPeriodStart: 'time',
        currentPeriodEnd: 'time',
        cancelAtPeriodEnd: 'flag',
      },
      required: ['plan', 'status', 'currentPeriodStart', 'currentPeriodEnd'],
    },
    { method: 'DELETE', path: `${users}/subscription`, as: 'admin', ...write },
    { method: 'DELETE', path: users, as: 'learner', ...write },
    { method: 'GET', path: '/v1/sessions', as: 'learner', queries: PAGE_QUERIES },
    { method: 'GET', path: '/v1/sessions/current', as: 'learner' },
    { method: 'GET', path: '/v1/events', as: 'learner' },
    {
      method: 'POST',
      path: '/v1/chats',
      as: 'learner',
      idempotent: true,
      body: { id: randomUUID(), title: 'A chat', messages: [{ role: 'user', content: 'Hello' }] },
      fields: { id: 'uuid', title: 'text', messages: 'messages' },
      required: ['title'],
    },
    {
      method: 'GET',
      path: '/v1/chats',
      as: 'learner',
      queries: [
        ...PAGE_QUERIES,
        'title=',
        'title=%00',
        'title=a%00b',
        `title=${'x'.repeat(201)}`,
        'title=a&title=b',
        'archived=',
        'archived=yes',
        'pinned=1',
        'pinned=true&pinned=false',
      ],
    },
    {
      method: 'GET',
      path: chats,
      as: 'learner',
      queries: [
        ...['-1', 'x', '1e20', '1.5', '99999999999', '%00'].map((after) => `after=${after}`),
        'limit=0',
        'limit=201',
        'limit=x',
        ...['', 'x', '%00', randomUUID(), `${randomUUID()}0`].map((leaf) => `leaf=${leaf}`),
      ],
    },
    {
      method: 'POST',
      path: '/v1/chats/search',
      as: 'learner',
      body: { text: 'grass', k: 3, archived: 'any' },
      fields: { text: 'text', vector: 'vector', k: 'k', archived: 'which' },
      required: ['text'],
    },
    {
      method: 'POST',
      path: `${chats}/context`,
      as: 'learner',
      body: { text: 'grass', tokenBudget: 100, leaf: message, filter: { metadata: { a: 1 } } },
      fields: { text: 'text', tokenBudget: 'budget', leaf: 'uuid', filter: 'object', 'filter.metadata': 'object' },
      required: ['text', 'tokenBudget'],
    },
    { method: 'GET', path: `${chats}/leaves`, as: 'learner' },
    {
      method: 'GET',
      path: `${chats}/export`,
      as: 'learner',
      queries: ['format=', 'format=pdf', 'format=json&format=markdown', 'leaf=', 'leaf=x', `leaf=${randomUUID()}`, 'leaf=%00'],
    },
    {
      method: 'PATCH',
      path: chats,
      as: 'learner',
      ...write,
      body: { title: 'Renamed', archived: true, pinned: true },
      fields: { title: 'text', archived: 'flag', pinned: 'flag' },
    },
    {
      method: 'POST',
      path: `${chats}/messages`,
      as: 'learner',
      idempotent: true,
      body: { role: 'user', content: 'Hello', parentId: message, metadata: { a: 1 } },
      fields: { role: 'choice', content: 'anyText', parentId: 'uuid', metadata: 'object' },
      required: ['role', 'content'],
    },
    { method: 'DELETE', path: chats, as: 'learner', ...write },
    {
      method: 'POST',
      path: '/v1/progress',
      as: 'learner',
      idempotent: true,
      body: { id: randomUUID(), category: 'algebra', score: 50, timestamp: new Date().toISOString(), metadata: { a: 1 } },
      fields: { id: 'uuid', category: 'text', score: 'score', timestamp: 'time', metadata: 'object' },
      required: ['category', 'score'],
    },
    {
      method: 'GET',
      path: '/v1/progress',
      as: 'learner',
      queries: [
        ...PAGE_QUERIES,
        ...['', '%00', 'a%00b', 'x'.repeat(65)].map((category) => `category=${category}`),
        ...['', 'month', 'DAY', '%00'].map((bucket) => `bucket=${bucket}`),
        ...['', 'x', '1e9', '2026-02-30', '2026-01-01T00:00:00', '2026-01-01T24:00:00Z', '%00', 'NaN'].flatMap((moment) => [
          `from=${moment}`,
          `bucket=day&to=${moment}`,
        ]),
        'from=2026-01-02&to=2026-01-01',
        'bucket=hour&from=0000-01-01&to=9999-12-31',
      ],
    },
    { method: 'GET', path: `/v1/progress/${progress}`, as: 'learner' },
    {
      method: 'PATCH',
      path: `/v1/progress/${progress}`,
      as: 'learner',
      ...write,
      body: { category: 'algebra', score: 50, metadata: { a: 1 } },
      fields: { category: 'text', score: 'score', metadata: 'object' },
    },
    { method: 'DELETE', path: `/v1/progress/${progress}`, as: 'learner', ...write },
  ];
}

/** A copy of `body` with another value at `path` (in dots), or without it. */
function changed(body: Record<string, unknown>, path: string, value?: unknown): Record<string, unknown> {
  const copy = structuredClone(body);
  const steps = path.split('.');
  const parent = steps.slice(0, -1).reduce((node: any, step) => node[step], copy);
  if (value === undefined) delete parent[steps.at(-1)!];
  else parent[steps.at(-1)!] = value;
  return copy;
}

describe.each(waysToRun)('bad input, $name', (way) => {
  const run = new RunningApi(way);
  let ada: TestLearner;
  let routes: Route[];
  let clients: Record<Route['as'], HttpClient>;

  beforeAll(async () => {
    ada = await run.newLearner();
    await ada.http.put(`/v1/users/${ada.id}/profile`, { firstName: 'Ada', lastName: 'Lovelace' });
    const chat = await ada.http.post('/v1/chats', { title: 'A chat', messages: [{ role: 'user', content: 'Hello' }] });
    if (way.name === 'embedded') await untilEmbedded(); // in the same process: not what a request writes
    const progress = await ada.http.post('/v1/progress', { category: 'algebra', score: 62.5 });
    const item = await ada.http.post('/v1/study/items', { type: 'flashcard', content: { front: 'a', back: 'b' } });
    await ada.http.post(`/v1/study/items/${item.body.id}/reviews`, { clientReviewId: 'x', rating: 3 });
    const grass = { type: 'text', content: 'Grass is green.', embedding: Array(1536).fill(1) };
    const document = await ada.http.post('/v1/documents', grass);
    const admin = await run.admin();
    await admin.put(`/v1/users/${ada.id}/subscription`, {
      plan: 'gold',
      status: 'active',
      currentPeriodStart: '2026-01-01T00:00:00Z',
      currentPeriodEnd: '2026-02-01T00:00:00Z',
    });
    const account = await admin.post('/v1/service-accounts', { name: 'tutor', scopes: ['study:read'] });
    const teacher = await run.newUser('TEACHER');
    const scopes = ['progress', 'study', 'documents', 'chats'];
    await ada.http.post(`/v1/users/${ada.id}/grants`, { teacherId: teacher.id, scopes });
    const taught = await teacher.http.post('/v1/documents', grass);
    const another = await run.newUser('TEACHER');
    clients = { nobody: run.http, learner: ada.http, admin, teacher: teacher.http };
    routes = [
      ...tableOfRoutes(ada, chat.body.id, chat.body.messages[0].id, progress.body.id),
      ...tableOfStudyRoutes(item.body.id),
      ...tableOfAccessRoutes(account.body.id, ada.id, another.id),
      ...tableOfDocumentRoutes(document.body.id, taught.body.id, chat.body.id),
    ];
  });

  const untilEmbedded = () =>
    until(async () => {
      const waiting = await sql(run.databaseUrl, 'select from chats where embedded_count < message_count');
      return waiting.length === 0;
    }, 25_000);

  /** Everything that a request could have written. */
  async function everythingWritten(): Promise<object> {
    const tables = [
      'users',
      'user_emails',
      'profiles',
      'subscriptions',
      'sessions',
      'chats',
      'chat_messages',
      'documents',
      'document_passages',
      'study_items',
      'study_reviews',
      'progress',
      'grants',
      'service_accounts',
      'service_keys',
      'audit_events',
      'idempotency_keys',
    ];
    const digests = tables.map(
      (table) => `(select md5(coalesce(string_agg(t::text, E'\\n' order by t::text), '')) from ${table} t) as ${table}`,
    );
    const [row] = await sql<object>(run.databaseUrl, `select ${digests.join(', ')}`);
    return row!;
  }

  const faults: string[] = [];
  /** Notes what is wrong with an answer to bad input: it has to be a problem with a code, and never a 5xx. */
  function judge(what: string, { status, headers, body }: Answer, expected?: number[]): void {
    const isProblem =
      headers.get('content-type')?.startsWith('application/problem+json') &&
      typeof body?.code === 'string' &&
      body.status === status;
    const wanted = expected ? expected.includes(status) : status >= 400 && status < 500;
    if (!isProblem || !wanted || body.traceId !== headers.get('x-request-id'))
      faults.push(`${what}: ${status} ${JSON.stringify(body)?.slice(0, 200)}`);
  }

  /** Sends a lot of bad requests, and checks the answers and that nothing was written. */
  async function attack(requests: () => Promise<unknown>): Promise<void> {
    faults.length = 0;
    const before = await everythingWritten();
    await requests();
    expect(faults).toEqual([]);
    expect(await everythingWritten()).toEqual(before);
    expect((await run.http.get('/health/ready')).body.status).toBe('ok');
  }

  const bodied = () => routes.filter((route) => route.body);
  const name = ({ method, path }: Route) => `${method} ${path.replace(/[0-9a-f-]{36}/g, '{id}')}`;

  it('has a table that names every route of the API', async () => {
    const { paths } = (await run.http.get('/openapi.json')).body;
    const documented = Object.entries<object>(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, '{id}')}`),
    );
    const harmless = [
      'DELETE /v1/sessions',
      'DELETE /v1/sessions/current',
      'GET /health/live',
      'GET /health/ready',
      'GET /health/startup',
    ];
    expect([...routes.map(name), ...harmless].sort()).toEqual(documented.sort());
  });

  it('refuses bodies that are broken, empty, of the wrong form, too large or bottomless', () =>
    attack(async () => {
      for (const route of bodied()) {
        for (const [what, body] of Object.entries(BROKEN_BODIES)) {
          judge(`${name(route)} ${what}`, await clients[route.as].send(route.method, route.path, body), [400, 413, 422]);
        }
      }
    }));

  it('tells everybody at once who sends far too much', () =>
    attack(async () => {
      const body = BROKEN_BODIES['10 MB']!;
      const answers = await Promise.all(Array.from({ length: 20 }, () => ada.http.post('/v1/chats', body)));
      for (const answer of answers) judge('10 MB', answer, [413]);
      const chunked = await fetch(`${run.api.url}/v1/users`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: new Blob([body]).stream(),
        duplex: 'half',
      } as RequestInit);
      expect(chunked.status).toBe(413);
    }));

  it('refuses fields that are missing, of the wrong type or out of range', () =>
    attack(async () => {
      for (const { body = {}, fields = {}, required = [], ...route } of bodied()) {
        const wrong = Object.entries(fields).flatMap(([field, kind]) => WRONG[kind].map((value) => [field, value] as const));
        for (const [field, value] of [...wrong, ...required.map((missing) => [missing, undefined] as const)]) {
          const answer = await clients[route.as].send(route.method, route.path, changed(body, field, value));
          judge(`${name(route)} ${field} = ${JSON.stringify(value)?.slice(0, 60)}`, answer, [422]);
        }
        for (const key of ['__proto__', 'constructor', 'prototype']) {
          const text = JSON.stringify(body).replace(/\}$/, `,"${key}":{"role":"ADMIN"}}`);
          judge(`${name(route)} ${key}`, await clients[route.as].send(route.method, route.path, text), [422]);
        }
      }
    }));

  it('refuses other media types than JSON', () =>
    attack(async () => {
      for (const route of bodied()) {
        for (const type of [
          'text/plain',
          'application/xml',
          'multipart/form-data; boundary=x',
          'application/x-www-form-urlencoded',
          'garbage',
          'application/jsonx',
        ]) {
          const answer = await clients[route.as].send(route.method, route.path, JSON.stringify(route.body), {
            headers: { 'content-type': type },
          });
          judge(`${name(route)} ${type}`, answer, [415]);
        }
      }
    }));

  it('refuses addresses that name nothing', () =>
    attack(async () => {
      for (const route of routes.filter(({ path }) => /[0-9a-f-]{36}/.test(path))) {
        for (const id of BAD_IDS) {
          const path = route.path.replace(/[0-9a-f-]{36}/, id);
          judge(
            `${name(route)} ${id.slice(0, 40)}`,
            await clients[route.as].send(route.method, path, route.body),
            [400, 404, 414, 422],
          );
        }
        const unknown = route.path.replace(/[0-9a-f-]{36}/, randomUUID());
        judge(`${name(route)} unknown`, await clients[route.as].send(route.method, unknown, route.body), [404]);
      }
    }));

  it('refuses queries that make no sense', () =>
    attack(async () => {
      for (const route of routes) {
        for (const query of route.queries ?? []) {
          judge(
            `${name(route)}?${query.slice(0, 80)}`,
            await clients[route.as].send(route.method, `${route.path}?${query}`),
            [422],
          );
        }
      }
    }));

  it('refuses broken credentials', () =>
    attack(async () => {
      for (const route of routes.filter(({ as }) => as !== 'nobody')) {
        for (const authorization of BAD_TOKENS) {
          const answer = await run.http.send(route.method, route.path, route.body, { headers: { authorization } });
          judge(`${name(route)} ${authorization.slice(0, 20)}`, answer, [401]);
        }
      }
    }));

  it('refuses headers that make no sense', () =>
    attack(async () => {
      const send = (route: Route, headers: Record<string, string>) =>
        clients[route.as].send(route.method, route.path, route.body, { headers });
      for (const route of routes) {
        for (const tag of ['"999999"', 'garbage', '""', '"x"', '"-1"', '"1e3"', '1', `"${'9'.repeat(400)}"`, '"1", "2"']) {
          if (route.versioned)
            judge(`${name(route)} If-Match ${tag.slice(0, 20)}`, await send(route, { 'if-match': tag }), [412]);
        }
        for (const key of ['', 'two words', 'é', 'x'.repeat(256)]) {
          if (route.idempotent)
            judge(`${name(route)} Idempotency-Key ${key.slice(0, 9)}`, await send(route, { 'idempotency-key': key }), [422]);
        }
        judge(`${name(route)} 20 KB of header`, await send(route, { 'x-long': 'x'.repeat(20_000) }), [431]);
      }
    }));

  it('refuses what is not HTTP', () =>
    attack(async () => {
      const { hostname, port } = new URL(run.api.url);
      for (const text of [
        'garbage\r\n\r\n',
        'GET / HTTP/9.9\r\nHost: x\r\n\r\n',
        'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
        'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
        'POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
        'GET /v1/users/me HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n',
        `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
        'GET /v1/users/me HTTP/1.1\r\nConnection: close\r\n\r\n',
        'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n',
        'GET /v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: tea\r\n\r\n',
      ]) {
        const answer = await overSocket(hostname, Number(port), text);
        const [head = '', body = ''] = answer.split('\r\n\r\n');
        const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
        const headers = new Headers(
          head
            .split('\r\n')
            .slice(1)
            .map((line) => line.split(': ') as [string, string]),
        );
        judge(text.slice(0, 60), { status, headers, body: JSON.parse(body || 'null'), text: body }, [400, 401, 431]);
      }
    }));

  it('was refused for what is bad in it: the same requests without that are accepted', async () => {
    const [role, ...others] = bodied().sort((a, b) => Number(b.path.endsWith('/role')) - Number(a.path.endsWith('/role')));
    for (const route of [...others, role!]) {
      const { status } = await clients[route.as].send(route.method, route.path, route.body);
      expect({ route: name(route), ok: status >= 200 && status < 300 }).toEqual({ route: name(route), ok: true });
    }
  });
});

/** Sends bytes and reads until the other side closes. */
function overSocket(host: string, port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, host, () => socket.write(text));
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.setTimeout(5000, () => socket.destroy(new Error(`No end after: ${text.slice(0, 60)}`)));
  });
}
