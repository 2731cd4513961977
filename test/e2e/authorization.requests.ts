import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GRANT_SCOPES } from '../../libs/identity/src/domain/scopes';
import type { Operation } from '../../apps/api/src/http/policy';
import type { Answer, HttpClient, RequestOptions } from '../support/http';
import { newEmail, newPassword } from './support';

/** What a request may be about, by the parameters of the paths. */
export interface Things {
  userId: string;
  chatId: string;
  documentId: string;
  itemId: string;
  progressId: string;
  grantId: string;
  /** A TEACHER to whom nothing is granted. */
  teacherId: string;
  accountId: string;
  keyId: string;
  email: string;
  password: string;
}

interface Described {
  method: string;
  path: string;
  succeeds: number[];
}

const described = new Map<string, Described>([['index', { method: 'GET', path: '/metrics', succeeds: [200] }]]);
const { paths } = JSON.parse(readFileSync(join(__dirname, '../../docs/openapi.json'), 'utf8'));
for (const [path, methods] of Object.entries<Record<string, { operationId: string; responses: object }>>(paths)) {
  for (const [method, { operationId, responses }] of Object.entries(methods)) {
    const succeeds = Object.keys(responses).map(Number);
    described.set(operationId, { method: method.toUpperCase(), path, succeeds: succeeds.filter((status) => status < 300) });
  }
}

export const describedAs = (operation: string): Described => described.get(operation)!;

const vector = Array(1536).fill(1);
const ada = { firstName: 'Ada', lastName: 'Lovelace' };
const card = { type: 'flashcard', content: { front: 'a', back: 'b' } };
const period = { currentPeriodStart: '2026-01-01T00:00:00Z', currentPeriodEnd: '2026-02-01T00:00:00Z' };
const gold = { plan: 'gold', status: 'active', ...period };

/** Bodies that are accepted from whoever may send them. */
const BODIES: Partial<Record<Operation, (things: Things) => unknown>> = {
  register: () => ({ email: newEmail(), password: newPassword() }),
  login: ({ email, password }) => ({ email, password }),
  change: () => ({ email: newEmail() }),
  changePassword: ({ password }) => ({ currentPassword: password, newPassword: newPassword() }),
  changeRole: () => ({ role: 'OPS' }),
  putProfile: () => ada,
  changeProfile: () => ({ lastName: randomUUID() }),
  putSubscription: () => gold,
  giveGrant: ({ teacherId }) => ({ teacherId, scopes: ['study'] }),
  createServiceAccount: () => ({ name: randomUUID(), scopes: ['study:read'] }),
  addServiceKey: () => ({}),
  startChat: () => ({ title: 'A chat' }),
  searchChats: () => ({ vector, k: 3 }),
  changeChat: () => ({ title: randomUUID() }),
  setContextVector: () => ({ vector, model: 'm' }),
  appendMessage: () => ({ role: 'user', content: 'Hello' }),
  getContext: () => ({ text: 'grass', tokenBudget: 100 }),
  addDocument: () => ({ type: 'text', content: 'Grass is green.', embedding: vector }),
  importDocuments: () => JSON.stringify({ type: 'text', content: 'Snow is white.', embedding: vector }),
  searchDocuments: () => ({ vector, k: 3 }),
  changeDocument: () => ({ title: randomUUID() }),
  addStudyItem: () => card,
  importStudyItems: () => JSON.stringify(card),
  changeStudyItem: () => ({ tags: [randomUUID()] }),
  reviewItem: () => ({ clientReviewId: randomUUID(), rating: 3 }),
  undoReview: () => ({}),
  recordProgress: () => ({ category: 'a', score: 1 }),
  changeProgress: () => ({ score: Math.random() }),
};

/** Sends the request of an operation about these things. */
export function request(http: HttpClient, operation: Operation, things: Things, options?: RequestOptions): Promise<Answer> {
  const { method, path } = describedAs(operation);
  const at = path.replace(/\{(\w+)\}/g, (_, name: keyof Things) => things[name]);
  const bulk: Record<string, string> = operation.startsWith('import') ? { 'content-type': 'application/x-ndjson' } : {};
  return http.send(method, at, BODIES[operation]?.(things), { ...options, headers: { ...options?.headers, ...bulk } });
}

/** One of everything, of the user who speaks through `http`. */
export async function newThings(
  http: HttpClient,
  boss: HttpClient,
  user: { id: string; email: string; password: string },
  [granted, teacherId]: [granted: string, ungranted: string],
): Promise<Things> {
  const { id: userId, email, password } = user;
  await http.put(`/v1/users/${userId}/profile`, ada);
  await boss.put(`/v1/users/${userId}/subscription`, gold);
  const create = async (path: string, body: unknown): Promise<string> => (await http.post(path, body)).body.id;
  const account = await boss.post('/v1/service-accounts', { name: randomUUID(), scopes: ['study:read'] });
  const grants = `/v1/users/${userId}/grants`;
  await http.post(grants, { teacherId: granted, scopes: GRANT_SCOPES }); // unless it is there
  const given: { id: string; teacherId: string }[] = (await http.get(grants)).body.items;
  const things: Things = {
    ...{ grantId: given.find((grant) => grant.teacherId === granted)!.id, teacherId },
    ...{ accountId: account.body.id, keyId: account.body.keys[0].id },
    ...{ userId, email, password },
    chatId: await create('/v1/chats', { title: 'A chat', messages: [{ role: 'user', content: 'Hello' }] }),
    documentId: await create('/v1/documents', { type: 'text', content: 'Grass.', embedding: vector }),
    itemId: await create('/v1/study/items', card),
    progressId: await create('/v1/progress', { category: 'a', score: 1 }),
  };
  await http.post(`/v1/study/items/${things.itemId}/reviews`, { clientReviewId: randomUUID(), rating: 3 });
  return things;
}
