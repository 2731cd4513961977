import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { UnsupportedMediaTypeException } from '@nestjs/common';
import {
  askingFor,
  MalformedJson,
  parseJson,
  RateLimited,
  refuseUnkeepable,
  View,
  Written,
  type RateVerdict,
} from '@studently/platform';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Histogram } from 'prom-client';
import { harden } from './hardening';
import { EVENT_STREAM } from './openapi';
import type { ProblemFilter } from './problem.filter';
import { describeRate, type HttpRateLimits } from './rate-limits';
import { isRead, routeOf, type ApiRequest } from './request';

/** A document of 1 MiB with its escapes. */
const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;

const SANE_ID = /^[\w.:-]{1,128}$/;

/** The caller's X-Request-Id, if it is fit for a log, else a new one. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE_ID.test(given) ? given : randomUUID();
}

export interface Surroundings {
  duration: Histogram<'method' | 'route' | 'status'>;
  /** One line for each request; undefined: none (LOG_ACCESS=false). */
  access?: (line: object) => void;
  /** The process is about to end: clients should not keep their connections. */
  isDraining: () => boolean;
  rates: HttpRateLimits;
  problems: ProblemFilter;
}

/** What happens to every request and every answer, whatever the route. */
export function addHooks(fastify: FastifyInstance, { duration, access, isDraining, rates, problems }: Surroundings): void {
  harden(fastify);
  fastify.removeContentTypeParser(['application/json', 'text/plain']);
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes: Buffer, done) => {
    try {
      if (!isUtf8(bytes)) throw new MalformedJson('The body is not UTF-8.'); // it would be kept with its letters lost
      const body = ((request as ApiRequest).rawBody = bytes.toString());
      done(null, body === '' ? undefined : parseJson(body));
    } catch (error) {
      done(error as Error);
    }
  });

  // Bulk requests are read as they come, line by line; nothing else takes a stream.
  fastify.addContentTypeParser(['application/x-ndjson', 'text/csv'], (request, stream, done) => {
    if (routeOf(request).url?.endsWith('/bulk')) done(null, stream);
    else done(new UnsupportedMediaTypeException());
  });
  fastify.addHook('onRoute', (route) => {
    if (route.url === '/v1/documents' || route.url === '/v1/documents/:documentId') route.bodyLimit = MAX_DOCUMENT_BYTES;
  });

  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    const denial = rates.recall(request);
    done(denial && new RateLimited(denial.secondsLeft));
  });

  fastify.addHook('preValidation', (request, _reply, done) => {
    try {
      refuseUnkeepable(request.query); // as the parser does with the body
      done();
    } catch (error) {
      done(error as Error);
    }
  });

  // Not before: a body that has to be waited for comes in another context.
  fastify.addHook('preValidation', (request, _reply, done) => askingFor(request.id, done));

  fastify.addHook('onSend', (request: ApiRequest, reply, payload, done) => {
    // Whoever still sends a body that is too large reads the answer only if the connection stays until then.
    if (reply.statusCode === 413) void reply.removeHeader('connection');
    else if (isDraining()) void reply.header('connection', 'close');
    const finish = (verdict: RateVerdict) => {
      describeRate(verdict, reply);
      if (verdict.isAllowed || reply.statusCode === 429) return done(null, payload);
      if (payload instanceof Readable) payload.destroy();
      void reply.removeHeader('etag').removeHeader('content-length');
      done(null, problems.prepare(new RateLimited(verdict.secondsLeft), request, reply));
    };
    const rate = rates.count(request); // what has come to no guard, for example a broken body, counts here
    if (rate instanceof Promise) void rate.then(finish);
    else if (rate) finish(rate);
    else done(null, payload);
  });

  fastify.addHook('preSerialization', (request, reply, payload, done) => {
    if (payload instanceof View) describe(payload, request, reply);
    done(null, payload);
  });
  fastify.setReplySerializer((payload) => (payload instanceof View ? (payload.json as string) : JSON.stringify(payload))); // bytes go out as they are

  fastify.addHook('onResponse', (request, reply, done) => {
    const { url: route = 'none' } = routeOf(request);
    const { method } = request;
    // How long a stream lasts does not say how fast we are.
    if (reply.getHeader('content-type') !== EVENT_STREAM) {
      duration.observe({ method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
    }
    const { actor } = request as ApiRequest;
    access?.({
      requestId: request.id,
      method,
      route,
      status: reply.statusCode,
      milliseconds: Math.round(reply.elapsedTime * 100) / 100,
      actor: actor?.userId,
      role: actor?.role,
      service: actor?.serviceId,
    });
    done();
  });
}

/** The headers that say what a view is: its version, whether the caller has it already, how to read on. */
function describe(view: View<unknown>, request: FastifyRequest, reply: FastifyReply): void {
  if (view instanceof Written) {
    void reply.header('x-read-token', view.readToken);
    if (view.replayed) void reply.header('idempotent-replayed', 'true');
    if (view.existed && view.json !== '') void reply.code(200);
  }
  if (view.etag === undefined) return;
  const etag = `"${view.etag}"`;
  void reply.header('etag', etag);
  const known = request.headers['if-none-match'];
  if (
    isRead(request) &&
    known !== undefined &&
    (known === '*' ||
      known
        .replaceAll('W/', '')
        .split(',') // by a pattern with spaces in it, 16 KB of spaces would take a second
        .some((one) => one.trim() === etag))
  ) {
    void reply.code(304);
  }
}
