import { applyDecorators, type INestApplication } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiHeader,
  ApiResponse,
  DocumentBuilder,
  SwaggerModule,
  type OpenAPIObject,
} from '@nestjs/swagger';
import { z } from 'zod';
import { BulkAnswer, Problem } from './schemas';

/** JSON Schema 2020-12, which is what OpenAPI 3.1 speaks. A format says what its pattern would repeat. */
const jsonSchema = (schema: z.ZodType, io: 'input' | 'output') => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema: node }) => {
      if (node.format) delete node.pattern;
    },
  });
  return rest as never;
};

const BEARER =
  'The token of POST /v1/sessions; or the key of a service account, with `X-Act-As: <userId>` for the learner whom it acts for.';

const problem = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };

/** Documents what a route answers when all is well. */
export function Answers(status: number, schema?: z.ZodType, description = 'Done') {
  return ApiResponse({
    status,
    description,
    ...(schema && { content: { 'application/json': { schema: jsonSchema(schema, 'output') } } }),
  });
}

/** The same for a route that also answers as text, if it is asked to. */
export function AnswersText(status: number, schema: z.ZodType, mediaType: string, description: string) {
  const content = { 'application/json': { schema: jsonSchema(schema, 'output') }, [mediaType]: { schema: { type: 'string' } } };
  return ApiResponse({ status, description, content });
}

export const EVENT_STREAM = 'text/event-stream';

/** Documents a stream of events: how to take it up again, and what an event is. */
export function EventStreamed() {
  return applyDecorators(
    ApiHeader({
      name: 'Last-Event-ID',
      required: false,
      description:
        'The `id` of the last event that you have had: the stream goes on after it, without a gap and without a double.',
      schema: { type: 'string', maxLength: 16_000 },
    }),
    ApiResponse({
      status: 200,
      description:
        'Server-sent events, until you close the stream, or it ends with the session or the process: then come back with Last-Event-ID. ' +
        '`event` is the type, for example `study-item.reviewed`. `data` is JSON: `{ id, type, subjectId, changedFields, at, readToken }`; ' +
        'a read with that as X-Read-Token sees the change. The event `reset` says that Last-Event-ID is not known here (after a restore or a ' +
        'failover): read anew what you show. A comment every 15 s shows that the connection is alive.',
      content: { [EVENT_STREAM]: { schema: { type: 'string' } } },
    }),
  );
}

/** Documents a write: it may carry an Idempotency-Key. */
export function Idempotent() {
  return ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'Makes the request happen once, however often it is sent within 24 h.',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  });
}

/** Documents a bulk request: one object a line, each as `line` says; what is wrong with a line is told by its number. */
export function Bulk(line: z.ZodType, ...mediaTypes: string[]) {
  return applyDecorators(
    ApiHeader({
      name: 'Batch-Id',
      required: false,
      description: 'Makes the request resumable: sent again within 7 days, a line that was accepted is not accepted twice.',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    }),
    ApiConsumes(...mediaTypes),
    ApiBody({ description: 'One object a line', schema: jsonSchema(line, 'input') }),
    Answers(200, BulkAnswer, 'The first 1,000 rejected lines; `rejectedCount` counts all'),
  );
}

/** Documents a change of one version: 412 if the resource is another by now. */
export function Versioned() {
  return applyDecorators(
    ApiHeader({ name: 'If-Match', required: false, description: 'The ETag that you have read.', schema: { type: 'string' } }),
    ApiResponse({ status: 412, description: 'VERSION_MISMATCH', content: problem }),
  );
}

/** Documents a read that may ask for a certain freshness, or for nothing new. */
export function Fresh() {
  return applyDecorators(
    ApiHeader({
      name: 'X-Read-Token',
      required: false,
      description: 'From a write: see at least that.',
      schema: { type: 'string' },
    }),
    ApiHeader({ name: 'If-None-Match', required: false, description: 'The ETag that you have.', schema: { type: 'string' } }),
    ApiResponse({ status: 304, description: 'You have it already.' }),
  );
}

const stringHeader = (description: string, example: string) => ({ description, schema: { type: 'string' as const }, example });
const RATE_HEADERS = {
  RateLimit: stringHeader('What is left of the limit, and when it begins anew, in seconds.', '"default";r=599;t=60'),
  'RateLimit-Policy': stringHeader('Requests in a window of so many seconds.', '"default";q=600;w=60'),
};
const RATE_REFERENCES = Object.fromEntries(
  Object.keys(RATE_HEADERS).map((name) => [name, { $ref: `#/components/headers/${name}` }]),
);

/** Every route under /v1 is limited, and says how much is left. */
function describeRateLimits({ paths, components }: OpenAPIObject): void {
  components!.headers = RATE_HEADERS;
  const limited = Object.entries(paths).filter(([path]) => path.startsWith('/v1/'));
  for (const operation of limited.flatMap(([, item]) => Object.values(item) as { responses: Record<string, object> }[])) {
    operation.responses['429'] = {
      description: 'RATE_LIMITED',
      headers: { 'Retry-After': { description: 'Seconds until the window ends.', schema: { type: 'integer', minimum: 1 } } },
      content: problem,
    };
    for (const response of Object.values<{ headers?: object }>(operation.responses)) {
      response.headers = { ...response.headers, ...RATE_REFERENCES };
    }
  }
}

/** The OpenAPI 3.1 document of the running application. */
export function describeApi(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('StudentlyAI data platform')
    .setDescription(
      'Everything that StudentlyAI keeps about a learner. Errors are application/problem+json with a stable `code`.',
    )
    .setVersion('1')
    .setLicense('MIT', 'https://spdx.org/licenses/MIT.html')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: BEARER })
    .addGlobalResponse(
      { status: 401, description: 'UNAUTHENTICATED, SESSION_REVOKED', content: problem },
      { status: 422, description: 'VALIDATION_FAILED and what else is wrong with the request', content: problem },
      { status: 'default', description: 'Any other problem, told by its code', content: problem },
    )
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (_controller, method) => method,
    standardSchemaConverter: (schema, { schemaType }) =>
      schema instanceof z.ZodType ? { schema: jsonSchema(schema, schemaType) } : undefined,
  });
  document.components = { ...document.components, schemas: { Problem: jsonSchema(Problem, 'output') } };
  describeRateLimits(document);
  return document;
}
