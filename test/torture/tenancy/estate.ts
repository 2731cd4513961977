import { randomUUID } from 'node:crypto';
import { GRANT_SCOPES } from '../../../libs/identity/src/domain/scopes';
import type { HttpClient, TestLearner } from '../../support/http';
import { logIn, newLearner } from '../../support/http';
import { validBody, operations, vector } from '../../support/operations';

/** Everything by which one learner's things can be named. */
export interface Names {
  /** By the names of the path's parameters, and those of uuid fields in bodies. */
  ids: Record<string, string>;
  /** What filters look for, by the names of the query's parameters. */
  filters: Record<string, string>;
  email: string;
  idempotencyKey: string;
  batchId: string;
  etag: string;
  readToken: string;
  lastEventId: string;
}

/** A learner with one of everything. */
export interface Estate extends Names {
  learner: TestLearner;
  /** A session of the TEACHER to whom the learner has granted everything. */
  teacherToken: string;
  /** Texts and ids that nobody else may ever be sent. */
  canaries: string[];
}

/** As documented. */
const operation = (name: string) => operations.find((one) => one.name === name)!;

/** Makes one of everything, each text with a canary in it. @param boss an ADMIN */
export async function newEstate(http: HttpClient, boss: HttpClient): Promise<Estate> {
  const learner = await newLearner(http);
  const canary = `canary-${randomUUID()}`;
  const idempotencyKey = randomUUID();
  const batchId = randomUUID();
  const send = async (method: 'POST' | 'PUT', path: string, body: unknown, headers = {}) => {
    const answer = await learner.http.send(method, path, body, { headers });
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
    return answer;
  };
  const profile = await send('PUT', `/v1/users/${learner.id}/profile`, {
    firstName: canary,
    lastName: canary,
    preferences: { theme: canary },
  });
  const subscription = await boss.put(`/v1/users/${learner.id}/subscription`, {
    ...(validBody(operation('PUT /v1/users/{userId}/subscription'), 0) as object),
    externalRef: canary,
  });
  const chat = await send(
    'POST',
    '/v1/chats',
    { title: `Secrets ${canary}`, messages: [{ role: 'user', content: canary }] },
    { 'idempotency-key': idempotencyKey },
  );
  const message = await send('POST', `/v1/chats/${chat.body.id}/messages`, {
    role: 'user',
    content: `photosynthesis ${canary}`,
  });
  const item = await send('POST', '/v1/study/items', {
    type: 'flashcard',
    content: { front: canary, back: canary },
    tags: [canary],
  });
  const review = await send('POST', `/v1/study/items/${item.body.id}/reviews`, { clientReviewId: canary, rating: 3 });
  const progress = await send('POST', '/v1/progress', { category: canary, score: 50, metadata: { canary } });
  const line = { type: 'text', title: canary, content: `photosynthesis ${canary}`, metadata: { canary }, embedding: vector(1) };
  const ndjson = { 'content-type': 'application/x-ndjson', 'batch-id': batchId };
  await send('POST', '/v1/documents/bulk', JSON.stringify({ ...line, id: randomUUID() }), ndjson);
  const document = await send('POST', '/v1/documents', line);
  const session = await learner.http.get('/v1/sessions/current');
  const teacher = await newLearner(http);
  await boss.put(`/v1/users/${teacher.id}/role`, { role: 'TEACHER' });
  const grant = await send('POST', `/v1/users/${learner.id}/grants`, { teacherId: teacher.id, scopes: GRANT_SCOPES });
  const stream = await learner.http.get('/v1/events');
  const account = await boss.post('/v1/service-accounts', validBody(operation('POST /v1/service-accounts'), 0));
  return {
    learner,
    teacherToken: await logIn(http, teacher.email, teacher.password),
    canaries: [
      canary,
      learner.email,
      learner.token,
      ...[profile, subscription, session, grant].map(({ body }) => body.id),
      review.body.reviewId,
    ],
    ids: {
      userId: learner.id,
      chatId: chat.body.id,
      parentId: message.body.id,
      leaf: message.body.id,
      documentId: document.body.id,
      itemId: item.body.id,
      progressId: progress.body.id,
      grantId: grant.body.id,
      teacherId: learner.id, // who is none: which teachers there are is no secret of a learner
      accountId: account.body.id,
      keyId: account.body.keys[0].id,
    },
    filters: { title: `Secrets ${canary}`, tag: canary, category: canary, email: learner.email },
    email: learner.email,
    idempotencyKey,
    batchId,
    etag: chat.headers.get('etag')!,
    readToken: document.headers.get('x-read-token')!,
    lastEventId: /^id: (.*)$/m.exec(stream.text)![1]!,
  };
}

/** Names of things that never were. */
export function ghostOf(names: Names): Names {
  const invented = (record: Record<string, string>) =>
    Object.fromEntries(Object.keys(record).map((name) => [name, randomUUID() as string]));
  return {
    ids: invented(names.ids),
    filters: { ...invented(names.filters), email: `${randomUUID()}@example.org` },
    email: `${randomUUID()}@example.org`,
    idempotencyKey: randomUUID(),
    batchId: randomUUID(),
    etag: '"1@2001-01-01T00:00:00.000Z"',
    readToken: names.readToken,
    lastEventId: names.lastEventId,
  };
}
