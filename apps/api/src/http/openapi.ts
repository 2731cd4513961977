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

const problem = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };

/** Documents what a route answers when all is well. */
export function Answers(status: number, schema?: z.ZodType, description = 'Done') {
  return ApiResponse({
    status,
    description,
    ...(schema && { content: { 'application/json': { schema: jsonSchema(schema, 'output') } } }),
  });
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
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'The token of POST /v1/sessions' })
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
  return document;
}
