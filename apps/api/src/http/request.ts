import { createHmac } from 'node:crypto';
import { createParamDecorator, SetMetadata, UnsupportedMediaTypeException, type ExecutionContext } from '@nestjs/common';
import { ValidationFailed, type Idempotency, type Learner } from '@studently/platform';
import type { FastifyRequest } from 'fastify';

/** What the hooks and the guard have found out about a request. */
export interface ApiRequest extends FastifyRequest {
  actor?: Learner;
  /** The body as it was sent. */
  rawBody?: string;
}

export const IS_PUBLIC = 'isPublic';

/** No session is needed. */
export const Public = () => SetMetadata(IS_PUBLIC, true);

const requestOf = (context: ExecutionContext) => context.switchToHttp().getRequest<ApiRequest>();

/** Who sends the request, with all that a command needs to know of it. */
export const CurrentActor = createParamDecorator((_: unknown, context: ExecutionContext): Learner => {
  const request = requestOf(context);
  if (!request.actor) throw new Error('A public route has no actor.');
  return { ...request.actor, requestId: request.id, idempotency: idempotencyOf(request) };
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

/** The ETag in If-Match; undefined without one, or for `*`. */
export const IfMatch = createParamDecorator((_: unknown, context: ExecutionContext): string | undefined => {
  const header = requestOf(context).headers['if-match'];
  if (header === undefined || header === '*') return undefined;
  return /^(?:W\/)?"([^"]*)"$/.exec(header)?.[1] ?? header;
});

/** X-Read-Token of an earlier write: the answer must not be older. */
export const ReadToken = createParamDecorator((_: unknown, context: ExecutionContext): string | undefined => {
  const header = requestOf(context).headers['x-read-token'];
  return typeof header === 'string' ? header : undefined;
});

/** A bulk request: its body as it comes, and the Batch-Id that makes it resumable. */
export interface BulkRequest {
  source: AsyncIterable<Buffer>;
  mediaType: 'application/x-ndjson' | 'text/csv';
  batchId?: string;
}

/** The body of a bulk request in one of the media types. @throws UnsupportedMediaTypeException, ValidationFailed */
export const BulkBody = createParamDecorator(
  (mediaTypes: BulkRequest['mediaType'][], context: ExecutionContext): BulkRequest => {
    const { headers, body } = requestOf(context);
    const mediaType = mediaTypes.find((type) => headers['content-type']?.toLowerCase().startsWith(type));
    if (!mediaType) throw new UnsupportedMediaTypeException();
    return { source: (body ?? []) as AsyncIterable<Buffer>, mediaType, batchId: chosenKey(headers['batch-id'], 'Batch-Id') };
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
  if (request.method === 'GET' || request.routeOptions.url?.endsWith('/bulk')) return undefined;
  const key = chosenKey(request.headers['idempotency-key'], 'Idempotency-Key');
  if (key === undefined) return undefined;
  const fingerprint = createHmac('sha256', key)
    .update(`${request.method} ${request.url}\n${request.rawBody ?? ''}`)
    .digest();
  return { key, fingerprint };
}
