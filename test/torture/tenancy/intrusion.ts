import { randomUUID } from 'node:crypto';
import { POLICY, type Rule } from '../../../apps/api/src/http/policy';
import { validBody, type JsonSchema, type Operation } from '../../support/operations';
import type { TortureContext } from '../harness/torture';
import type { Names } from './estate';

interface IntrudingRequest {
  path: string;
  headers: Record<string, string>;
  body?: unknown;
}

/**
 * Who sends it: a learner, the TEACHER of a learner, a service that acts for the learner, or one that would act for whoever is
 * named without the scope for it.
 */
export const SENDERS = ['learner', 'teacher', 'service', 'unscoped'] as const;
export type Sender = (typeof SENDERS)[number];

/** The only scope of the service that would act for others. */
export const NARROW_SCOPE = 'subscription:write';

/** A request that names something foreign; whose it is, is said when it is sent. */
export interface Intrusion {
  operation: Operation;
  sender: Sender;
  /** @param own what belongs to the sender, @param foreign what does not, be it somebody else's or nobody's */
  request: (own: Names, foreign: Names) => IntrudingRequest;
}

type Source = 'own' | 'foreign';

const HEADERS = ['if-match', 'if-none-match', 'idempotency-key', 'batch-id', 'x-read-token', 'last-event-id'];
/** Where an intruder can name something that is not a parameter at all. */
const SMUGGLED = ['userId', 'user_id', 'learnerId', 'ownerId'];
const END_OF_TIME = '2999-01-01T00:00:00.000Z';
/** What would end the intruder's own session or account. */
const ONLY_FOREIGN = ['DELETE /v1/users/{userId}'];

/** Chooses where the request names foreign things; at least one place is chosen, and most often several are. */
export function chooseIntrusion(context: TortureContext, operation: Operation, number: number): Intrusion {
  const inPath = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const inBody = Object.values(operation.bodies).flatMap(uuidFields);
  const inQuery = operation.parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
  const sender = chooseSender(context, operation);
  const sources = new Map<string, Source>();
  const choose = (place: string, foreign: number, own: number) => {
    const chance = context.random();
    if (chance < foreign) sources.set(place, 'foreign');
    else if (chance < foreign + own) sources.set(place, 'own');
  };
  const alone = ONLY_FOREIGN.includes(operation.name);
  for (const name of inPath) choose(`path ${name}`, alone ? 1 : 0.7, 0.3);
  for (const name of inBody) choose(`body ${name}`, 0.5, 0);
  for (const name of inQuery) choose(`query ${name}`, 0.3, 0);
  for (const name of [...HEADERS, 'smuggled']) choose(name, 0.15, 0);
  choose('x-act-as', { learner: 0.15, teacher: 0.15, service: 0, unscoped: 1 }[sender], sender === 'service' ? 1 : 0);
  if (![...sources.values()].includes('foreign')) sources.set('smuggled', 'foreign');
  const smuggled = context.pick(SMUGGLED);
  const body = validBody(operation, number);
  return { operation, sender, request: (own, foreign) => build(operation, sources, { own, foreign }, body, smuggled) };
}

function chooseSender(context: TortureContext, { id, path }: Operation): Sender {
  const chance = context.random();
  if (path.startsWith('/v1/learners')) return chance < 0.8 ? 'teacher' : 'learner';
  const { own, service }: Rule = POLICY[id as keyof typeof POLICY];
  if (own.includes('TEACHER') && !own.includes('STUDENT') && chance > 0.5) return 'teacher';
  if (chance < 0.1 && service !== NARROW_SCOPE) return 'unscoped';
  return chance < 0.35 ? 'service' : 'learner';
}

function build(
  operation: Operation,
  sources: ReadonlyMap<string, Source>,
  names: Record<Source, Names>,
  valid: Record<string, unknown> | undefined,
  smuggled: string,
): IntrudingRequest {
  const { foreign } = names;
  const chosen = (place: string) => sources.has(place);
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => idOf(names[sources.get(`path ${name}`)!], name));
  const query = new URLSearchParams();
  for (const { name } of operation.parameters.filter((parameter) => chosen(`query ${parameter.name}`))) {
    const named = name === 'cursor' ? cursorOf(Object.values(foreign.ids)[0]!) : (foreign.filters[name] ?? foreign.ids[name]);
    if (named !== undefined) query.set(name, named);
  }
  const fields = Object.values(operation.bodies)
    .flatMap(uuidFields)
    .filter((name) => chosen(`body ${name}`));
  let body = valid && { ...valid, ...Object.fromEntries(fields.map((name) => [name, bodyId(operation, foreign, name)])) };
  if (operation.name === 'POST /v1/sessions') body = { ...body, email: foreign.email };
  // Ids and addresses of users are unique among all: that they are taken is told to whoever registers.
  if (operation.name === 'POST /v1/users') body = { ...body, email: `${randomUUID()}@example.org` };
  if (chosen('smuggled')) {
    query.set(smuggled, foreign.ids['userId']!);
    if (body) body = { ...body, [smuggled]: foreign.ids['userId'] };
  }
  const isBulk = Object.keys(operation.bodies).includes('application/x-ndjson');
  const headers = {
    ...(chosen('if-match') && { 'if-match': foreign.etag }),
    ...(chosen('if-none-match') && { 'if-none-match': foreign.etag }),
    ...(chosen('idempotency-key') && { 'idempotency-key': foreign.idempotencyKey }),
    ...(chosen('batch-id') && { 'batch-id': foreign.batchId }),
    ...(chosen('x-read-token') && { 'x-read-token': foreign.readToken }),
    ...(chosen('last-event-id') && { 'last-event-id': foreign.lastEventId }),
    ...(chosen('x-act-as') && { 'x-act-as': names[sources.get('x-act-as')!].ids['userId'] }),
    ...(isBulk && { 'content-type': 'application/x-ndjson' }),
  };
  return { path: query.size > 0 ? `${path}?${query}` : path, headers, body: isBulk ? JSON.stringify(body) : body };
}

/** @throws if nobody has said yet whose the parameter's things are */
function idOf(names: Names, parameter: string): string {
  const id = names.ids[parameter];
  if (id === undefined) throw new Error(`test/torture/tenancy/estate.ts has no id for {${parameter}} yet: add one.`);
  return id;
}

/** A body's `id` is the id of what the route makes: POST /v1/chats names a chat. */
function bodyId(operation: Operation, names: Names, field: string): string {
  if (field !== 'id') return idOf(names, field);
  const [, noun] = /\/(\w+?)s?(?:\/bulk)?$/.exec(operation.path)!;
  return operation.name === 'POST /v1/users' ? randomUUID() : idOf(names, `${noun === 'progres' ? 'progress' : noun}Id`);
}

const uuidFields = (schema: JsonSchema): string[] =>
  Object.entries<JsonSchema>(schema['properties'] ?? {})
    .filter(([, field]) => field['format'] === 'uuid')
    .map(([name]) => name);

const cursorOf = (id: string) => Buffer.from(`${END_OF_TIME}.${id}`).toString('base64url');
