import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Catch, HttpException, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { DomainError, type ErrorKind, type FieldFault } from '@studently/platform';
import type { FastifyReply } from 'fastify';
import type { ApiRequest } from './request';

const STATUS: Record<ErrorKind, number> = {
  malformed: 400,
  invalid: 422,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'precondition-failed': 412,
  'rate-limited': 429,
  unavailable: 503,
};

/** Faults that the HTTP server finds by itself. */
const BY_STATUS: Record<number, [code: string, detail: string]> = {
  400: ['BAD_REQUEST', 'The request cannot be read.'],
  404: ['NOT_FOUND', 'There is no such route: see GET /docs.'],
  405: ['METHOD_NOT_ALLOWED', 'This route has no such method: see GET /docs.'],
  408: ['REQUEST_TIMEOUT', 'The request did not come in time.'],
  413: ['BODY_TOO_LARGE', 'The body is larger than this route accepts.'],
  414: ['URI_TOO_LONG', 'The address is too long.'],
  415: [
    'UNSUPPORTED_MEDIA_TYPE',
    'This route does not take this Content-Type (mostly it is application/json) or Content-Encoding (there may be none): see GET /docs.',
  ],
  431: ['HEADERS_TOO_LARGE', 'The headers are larger than this server accepts.'],
};

interface Answer {
  status: number;
  code: string;
  detail: string;
  errors?: FieldFault[];
  retryAfterSeconds?: number;
}

const PROBLEM = 'application/problem+json; charset=utf-8';

function problemText({ status, code, detail, errors }: Answer, traceId: string): string {
  return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, code, detail, traceId, errors });
}

/** What is not HTTP, or too much of it, never becomes a request: it is answered on the bare connection, which ends. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const status = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code ?? ''] ?? 400;
  const [code, detail] = BY_STATUS[status]!;
  const traceId = randomUUID();
  const body = problemText({ status, code, detail }, traceId);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${PROBLEM}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${traceId}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Every error leaves as application/problem+json (RFC 9457). What is not ours is a 500 with nothing in it, and one log line. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger(ProblemFilter.name);

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.send(error, http.getRequest<ApiRequest>(), http.getResponse<FastifyReply>());
  }

  send(error: unknown, request: ApiRequest, reply: FastifyReply): void {
    void reply.send(this.prepare(error, request, reply));
  }

  /** Sets status and headers. @returns the body */
  prepare(error: unknown, request: ApiRequest, reply: FastifyReply): string {
    const answer = this.answerTo(error, request);
    if (answer.retryAfterSeconds !== undefined) void reply.header('retry-after', answer.retryAfterSeconds);
    if (answer.status === 401) void reply.header('www-authenticate', 'Bearer');
    void reply.code(answer.status).header('content-type', PROBLEM).header('x-request-id', request.id); // an address that cannot be read never came to the hooks
    return problemText(answer, request.id);
  }

  private answerTo(error: unknown, { id: requestId, raw }: ApiRequest): Answer {
    if (error instanceof DomainError) {
      const { faults, retryAfterSeconds } = error.details;
      if (error.kind === 'unavailable') this.logger.warn({ requestId, code: error.code }, 'A dependency is not available');
      return { status: STATUS[error.kind], code: error.code, detail: error.message, errors: faults, retryAfterSeconds };
    }
    // Whoever went away in the middle of a body reads no answer: that is no fault of ours.
    const isGone = error instanceof Error && raw.errored === error;
    const status = isGone
      ? 400
      : error instanceof HttpException
        ? error.getStatus()
        : (error as { statusCode?: number })?.statusCode;
    if (status !== undefined && status >= 400 && status < 500) {
      const [code, detail] = BY_STATUS[status] ?? ['BAD_REQUEST', STATUS_CODES[status] ?? 'The request is not valid.'];
      return { status, code, detail };
    }
    // Neither the message nor the values of an unknown error: they may hold personal data.
    const { name, code, stack }: Error & { code?: string } = error instanceof Error ? error : new Error('not an Error');
    const frames = stack
      ?.split('\n')
      .filter((line) => line.trimStart().startsWith('at '))
      .slice(0, 12);
    this.logger.error({ requestId, error: name, code, frames }, 'Unexpected error');
    return { status: 500, code: 'INTERNAL', detail: `Something went wrong here; tell us the traceId.` };
  }
}
