import { createHmac } from 'node:crypto';
import { createParamDecorator, UnsupportedMediaTypeException, type ExecutionContext } from '@nestjs/common';
import {
  decodeEventCursor,
  ValidationFailed,
  type EventCursor,
  type Idempotency,
  type Learner,
  type RateVerdict,
} from '@studently/platform';
import type { FastifyRequest } from 'fastify';

/** What the hooks and the guard have found out about a request. */
export interface ApiRequest extends FastifyRequest {
  actor?: Learner;
  /** Of the service account that sends it. */
  scopes?: readonly string[];
  /** The learner whom it names does not exist. */
  actsForNobody?: boolean;
  /** The sender may read somebody else's: of this learner, or (undefined) of those who are shown. It is recorded when it is answered. */
  reads?: { operation: string; learnerId?: string };
  /** Whether the sender may still, long after the request has begun. @throws as it was refused in the first place */
  stillMay?: () => Promise<void>;
  /** The body as it was sent. */
  rawBody?: string;
  /** Once it is counted. */
  rate?: RateVerdict | Promise<RateVerdict>;
  /** Once it is asked for. */
  route?: FastifyRequest['routeOptions'];
}

/** What its route says of itself. Fastify makes that anew whenever it is asked. */
export const routeOf = (request: ApiRequest): FastifyRequest['routeOptions'] => (request.route ??= request.routeOptions);

/** It changes nothing. A HEAD is answered as its GET, without the body. */
export const isRead = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';

const requestOf = (context: ExecutionContext) => context.switchToHttp().getRequest<ApiRequest>();

/** Who sends the request, with all that a command needs to know of it. */
export const CurrentActor = createParamDecorator((_: unknown, context: ExecutionContext): Learner => {
  const request = requestOf(context);
  if (!request.actor) throw new Error('A public route has no actor.');
  return { ...request.actor, requestId: request.id, idempotency: idempotencyOf(request) };
});

/** A teacher who reads what the learner in the path has granted. */
export const CurrentTeacher = createParamDecorator((_: unknown, context: ExecutionContext): Learner => {
  const { actor, reads, id } = requestOf(context);
  if (!actor || !reads?.learnerId) throw new Error('Nothing has been granted.');
  return { ...actor, learnerId: reads.learnerId, requestId: id };
});

/** Of a request that nobody has logged in for. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext) => {
  const request = requestOf(context);
  return {
    requestId: request.id,
    idempotency: idempotencyOf(request),
    origin: { ip: request.ip, userAgent: request.headers['user-agent'] ?? '' },
  };
});

/** The ETags in If-Match without their quotes, by comma; `*` is any. */
export const IfMatch = createParamDecorator((_: unknown, context: ExecutionContext): string | undefined =>
  requestOf(context).headers['if-match']?.replaceAll(/(?:W\/)?"/g, ''),
);

/** X-Read-Token of an earlier write: the answer must not be older. */
export const ReadToken = createParamDecorator((_: unknown, context: ExecutionContext): string | undefined => {
  const header = requestOf(context).headers['x-read-token'];
  return typeof header === 'string' ? header : undefined;
});

/** The last event that the caller has had; undefined: the stream begins now. @throws ValidationFailed */
export const LastEventId = createParamDecorator((_: unknown, context: ExecutionContext): EventCursor | undefined => {
  const header = requestOf(context).headers['last-event-id'];
  return header ? decodeEventCursor(String(header)) : undefined;
});

/** A bulk request: its body as it comes, and the Batch-Id that makes it resumable. */
export interface BulkRequest {
  /** Asked before each chunk: the request may last longer than the session. */
  stillMay: () => Promise<void>;
  source: AsyncIterable<Buffer>;
  mediaType: 'application/x-ndjson' | 'text/csv';
  batchId?: string;
}

/** The body of a bulk request in one of the media types. @throws UnsupportedMediaTypeException, ValidationFailed */
export const BulkBody = createParamDecorator(
  (mediaTypes: BulkRequest['mediaType'][], context: ExecutionContext): BulkRequest => {
    const { headers, body, stillMay } = requestOf(context);
    const mediaType = mediaTypes.find((type) => headers['content-type']?.toLowerCase().startsWith(type));
    if (!mediaType) throw new UnsupportedMediaTypeException();
    const source = (body ?? []) as AsyncIterable<Buffer>;
    return { source, mediaType, batchId: chosenKey(headers['batch-id'], 'Batch-Id'), stillMay: stillMay! };
  },
);

/** A name that the caller has chosen for a request. @throws ValidationFailed if it is not one */
function chosenKey(key: string | string[] | undefined, header: string): string | undefined {
  if (key === undefined || (typeof key === 'string' && /^[\x21-\x7e]{1,255}$/.test(key))) return key;
  throw new ValidationFailed([
    { path: header, code: 'invalid_key', message: 'Use 1 to 255 visible ASCII characters; a uuid is a good key.' },
  ]);
}

/** @throws ValidationFailed if the key is not one */
function idempotencyOf(request: ApiRequest): Idempotency | undefined {
  // A bulk request is many commands, and has its Batch-Id.
  if (isRead(request) || routeOf(request).url?.endsWith('/bulk')) return undefined;
  const key = chosenKey(request.headers['idempotency-key'], 'Idempotency-Key');
  if (key === undefined) return undefined;
  const fingerprint = createHmac('sha256', key)
    .update(`${request.method} ${request.url}\n${request.rawBody ?? ''}`)
    .digest();
  return { key, fingerprint };
}
