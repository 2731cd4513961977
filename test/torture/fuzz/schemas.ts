import fc from 'fast-check';
import type { JsonSchema } from '../../support/operations';

/** Values that have broken somebody's server before. */
const NASTY = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    ' ',
    0,
    -0,
    -1,
    1e308,
    2 ** 53,
    0.1,
    [],
    {},
    [[]],
    '\0',
    'a\ud800',
    '\u202e\u0301',
    '%00',
    '../..',
  ),
  fc.constantFrom<unknown>(
    "'; drop table users; --",
    '${7*7}',
    '{"$gt":""}',
    'x'.repeat(5000),
    '1970-01-01',
    'Infinity',
    'NaN',
  ),
  fc.constantFrom<unknown>(JSON.parse('{"__proto__":{"polluted":true}}'), { constructor: { prototype: { polluted: true } } }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.double(),
  fc.array(fc.anything({ maxDepth: 1 }), { maxLength: 3 }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** What the schema allows, now and then what it does not. */
export function valueOf(schema: JsonSchema, wrong = 0.08): fc.Arbitrary<unknown> {
  const right = rightValueOf(schema, wrong);
  const every = Math.round(1 / wrong);
  return fc.oneof({ arbitrary: right, weight: every - 1 }, { arbitrary: NASTY, weight: 1 });
}

function rightValueOf(schema: JsonSchema, wrong: number): fc.Arbitrary<unknown> {
  const choices = (schema['anyOf'] ?? schema['oneOf']) as JsonSchema[] | undefined;
  if (choices) return fc.oneof(...choices.map((choice) => valueOf(choice, wrong)));
  if ('const' in schema) return fc.constant(schema['const']);
  if (schema['enum']) return fc.constantFrom(...(schema['enum'] as unknown[]));
  switch (schema['type']) {
    case 'object':
      return objectOf(schema, wrong);
    case 'array': {
      const { minItems = 0, maxItems = 4 } = schema;
      // A vector is all or nothing: 1536 choices would be all the time there is.
      if (minItems > 100)
        return fc.integer({ min: 1, max: 9 }).map((n) => Array.from({ length: minItems }, (_, i) => Math.sin(n * i + 1)));
      return fc.array(valueOf(schema['items'] ?? {}, wrong / 4), {
        minLength: minItems,
        maxLength: Math.min(maxItems, minItems + 4),
      });
    }
    case 'integer':
      return fc.integer({ min: Math.max(schema['minimum'] ?? -10, -1e6), max: Math.min(schema['maximum'] ?? 1000, 1000) });
    case 'number':
      return fc.double({ min: schema['minimum'] ?? -1e6, max: schema['maximum'] ?? 1e6, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'string':
      return textOf(schema);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function objectOf(schema: JsonSchema, wrong: number): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const fields = Object.fromEntries(
    Object.entries<JsonSchema>(properties).map(([name, field]) => [name, valueOf(field, wrong / 2)]),
  );
  const known = fc.record(fields, { requiredKeys: required as string[] });
  if (Object.keys(fields).length > 0 || additionalProperties === false) return known;
  return fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 });
}

function textOf({ format, minLength = 0, maxLength = 60 }: JsonSchema): fc.Arbitrary<string> {
  switch (format) {
    case 'uuid':
      return fc.uuid();
    case 'email':
      return fc.uuid().map((id) => `${id}@example.org`);
    case 'date-time':
      return fc
        .date({ noInvalidDate: true, min: new Date('1990-01-01'), max: new Date('2050-01-01') })
        .map((date) => date.toISOString());
    case 'date':
      return fc
        .date({ noInvalidDate: true, min: new Date('1990-01-01'), max: new Date('2050-01-01') })
        .map((date) => date.toISOString().slice(0, 10));
    default:
      return fc.string({ unit: 'grapheme', minLength, maxLength: Math.max(minLength, Math.min(maxLength, 60)) });
  }
}
