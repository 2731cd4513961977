import { createHmac } from 'node:crypto';
import { createParamDecorator, SetMetadata, type ExecutionContext } from '@nestjs/common';
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

/** @throws ValidationFailed if the key is not one */
function idempotencyOf(request: ApiRequest): Idempotency | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined || request.method === 'GET') return undefined;
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new ValidationFailed([
      { path: 'Idempotency-Key', code: 'invalid_key', message: 'Use 1 to 255 visible ASCII characters; a uuid is a good key.' },
    ]);
  }
  const fingerprint = createHmac('sha256', key)
    .update(`${request.method} ${request.url}\n${request.rawBody ?? ''}`)
    .digest();
  return { key, fingerprint };
}
