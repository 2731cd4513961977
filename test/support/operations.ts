import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type JsonSchema = Record<string, any>;

/** A route as the OpenAPI document describes it. */
export interface Operation {
  /** `GET /v1/chats/{chatId}` */
  name: string;
  /** `getChat`, as in the policy table. */
  id: string;
  method: string;
  path: string;
  parameters: { name: string; in: 'path' | 'query' | 'header'; required?: boolean; schema: JsonSchema }[];
  /** What its body may be, by media type. */
  bodies: Record<string, JsonSchema>;
}

export const openApi = JSON.parse(readFileSync(join(__dirname, '../../docs/openapi.json'), 'utf8'));

/** Every route of docs/openapi.json: a new one is there as soon as it is documented, and it has to be. */
export const operations: Operation[] = Object.entries<JsonSchema>(openApi.paths).flatMap(([path, methods]) =>
  Object.entries<JsonSchema>(methods).map(([method, described]) => ({
    name: `${method.toUpperCase()} ${path}`,
    id: described['operationId'],
    method: method.toUpperCase(),
    path,
    parameters: described['parameters'] ?? [],
    bodies: Object.fromEntries(
      Object.entries<JsonSchema>(described['requestBody']?.content ?? {}).map(([type, { schema }]) => [type, schema]),
    ),
  })),
);

/** A body that each route would accept; `number` makes it differ from others. */
const BODIES: Record<string, (number: number) => unknown> = {
  'POST /v1/users': () => ({ email: `${crypto.randomUUID()}@example.org`, password: `correct horse ${crypto.randomUUID()}` }),
  'PATCH /v1/users/{userId}': (number) => ({ profile: { firstName: `Eve ${number}`, lastName: 'Mallory' } }),
  'PUT /v1/users/{userId}/password': () => ({
    currentPassword: 'a wrong password',
    newPassword: `a new one ${crypto.randomUUID()}`,
  }),
  'PUT /v1/users/{userId}/role': () => ({ role: 'ADMIN' }),
  'PUT /v1/users/{userId}/profile': (number) => ({ firstName: `Eve ${number}`, lastName: 'Mallory' }),
  'PATCH /v1/users/{userId}/profile': (number) => ({ firstName: `Eve ${number}` }),
  'PUT /v1/users/{userId}/subscription': () => ({
    plan: 'gold',
    status: 'active',
    currentPeriodStart: '2026-01-01T00:00:00Z',
    currentPeriodEnd: '2026-02-01T00:00:00Z',
  }),
  'POST /v1/users/{userId}/grants': () => ({
    teacherId: crypto.randomUUID(),
    scopes: ['progress', 'study', 'documents', 'chats'],
  }),
  'POST /v1/service-accounts': () => ({ name: `Service ${crypto.randomUUID()}`, scopes: ['chats:read'] }),
  'POST /v1/service-accounts/{accountId}/keys': () => ({ expiresAt: '2099-01-01T00:00:00Z' }),
  'POST /v1/sessions': () => ({ email: `${crypto.randomUUID()}@example.org`, password: 'not the password' }),
  'POST /v1/chats': (number) => ({ title: `Chat ${number}`, messages: [{ role: 'user', content: 'Hello' }] }),
  'POST /v1/chats/search': () => ({ vector: vector(5), k: 100 }),
  'POST /v1/chats/{chatId}/context': () => ({ text: 'photosynthesis', tokenBudget: 500 }),
  'PATCH /v1/chats/{chatId}': (number) => ({ title: `Chat ${number}` }),
  'PUT /v1/chats/{chatId}/context-vector': () => ({ vector: vector(2), model: 'm' }),
  'POST /v1/chats/{chatId}/messages': (number) => ({ role: 'user', content: `Message ${number}` }),
  'POST /v1/documents': (number) => ({ type: 'text', content: `Text ${number}`, embedding: vector(3) }),
  'POST /v1/documents/bulk': (number) => ({ type: 'text', content: `Text ${number}`, embedding: vector(4) }),
  'PATCH /v1/documents/{documentId}': (number) => ({ title: `Title ${number}` }),
  'POST /v1/documents/search': () => ({ text: 'photosynthesis', mode: 'text', k: 100 }),
  'POST /v1/study/items': (number) => card(number),
  'POST /v1/study/items/bulk': (number) => card(number),
  'PATCH /v1/study/items/{itemId}': (number) => ({ tags: [`tag-${number}`] }),
  'POST /v1/study/items/{itemId}/reviews': (number) => ({ clientReviewId: `review-${number}`, rating: (number % 4) + 1 }),
  'POST /v1/progress': (number) => ({ category: 'algebra', score: number % 100 }),
  'PATCH /v1/progress/{progressId}': (number) => ({ score: number % 100 }),
};

const card = (number: number) => ({ type: 'flashcard', content: { front: `front ${number}`, back: 'back' } });
export const vector = (seed: number) =>
  Array.from({ length: 1536 }, (_, i) => Math.round(Math.sin(seed * (i + 1)) * 1e4) / 1e4);

/** @throws if nobody has said yet what the route would accept */
export function validBody(operation: Operation, number: number): Record<string, unknown> | undefined {
  if (Object.keys(operation.bodies).length === 0) return undefined;
  const body = BODIES[operation.name];
  if (!body) throw new Error(`test/support/operations.ts has no body for ${operation.name} yet: add one.`);
  return body(number) as Record<string, unknown>;
}
