import type { Socket } from 'node:net';
import { BadRequestException, UnsupportedMediaTypeException } from '@nestjs/common';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { refuseConnection } from './problem.filter';
import { isRead, routeOf, type ApiRequest } from './request';

/** For HTTP and for HTTPS: how long a client may take for the head of a request, and how often that is looked at. */
export const SERVER = {
  headersTimeout: 10_000,
  connectionsCheckingInterval: 1000,
  requireHostHeader: false, // Node would refuse it without a problem: harden() does
};

/** Whoever has been answered has so long for what is still sent and nobody reads; the end of the process would wait for it. */
const LONGEST_REST_MS = 5000;

/** How long for a body that has to be there as a whole; a bulk request has half an hour, as it is taken in line by line. */
const LONGEST_BODY_MS = 30_000;

const NOTHING = "default-src 'none'; frame-ancestors 'none'";
/** The page at /docs brings its scripts as files; its styles stand in the page. */
const DOCUMENTS =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/** What browsers are told, whatever the route. Nobody but the caller may keep an answer, and nobody one that holds a secret. */
function securityHeaders(request: FastifyRequest, url: string | undefined): Record<string, string> {
  return {
    'cache-control': isRead(request) ? 'private, no-cache' : 'no-store',
    'content-security-policy': url?.startsWith('/docs') ? DOCUMENTS : NOTHING,
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    ...(request.protocol === 'https' && { 'strict-transport-security': 'max-age=31536000' }),
  };
}

/** Slow clients are let go of, odd ones are told so, and browsers are told to be careful. */
export function harden(fastify: FastifyInstance): void {
  const { server } = fastify;
  // Without these Node answers nothing at all, or a 417 that is no problem.
  server.on('connect', (_request, socket) => refuseConnection(new Error('There is nothing to connect to.'), socket as Socket));
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  fastify.addHook('onRequest', (request: ApiRequest, reply, done) => {
    const { url } = routeOf(request);
    void reply.headers(securityHeaders(request, url));
    const { headers } = request;
    if (headers.host === undefined && request.raw.httpVersion === '1.1') return done(new BadRequestException());
    const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
    if (hasBody && !/^(identity)?$/i.test(headers['content-encoding'] ?? '')) return done(new UnsupportedMediaTypeException());
    if (hasBody && !url?.endsWith('/bulk')) limitTime(request, reply);
    done();
  });
  fastify.addHook('onResponse', ({ raw }, _reply, done) => {
    const { socket } = raw; // later there may be none any more
    if (!raw.complete) setTimeout(() => raw.complete || socket?.destroy(), LONGEST_REST_MS).unref();
    done();
  });
}

function limitTime({ raw }: FastifyRequest, reply: FastifyReply): void {
  const { socket } = raw;
  const timer = setTimeout(() => {
    if (reply.sent) socket.destroy();
    else refuseConnection(Object.assign(new Error(), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
  }, LONGEST_BODY_MS);
  const isOver = () => clearTimeout(timer);
  raw.once('end', isOver).once('close', isOver);
}
