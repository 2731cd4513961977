import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { validBody, type Operation } from '../../support/operations';
import { valueOf } from './schemas';

/** One request of a sequence. */
export interface Step {
  operation: Operation;
  /** A service acts for the learner; a teacher has been granted everything by the learner. */
  caller: 'learner' | 'service' | 'teacher' | 'nobody' | 'boss';
  headers: Record<string, string>;
  body: string | undefined;
  /** @param known an id of something that the sequence has made, by the name of the path's parameter */
  path: (known: (name: string, choice: number) => string | undefined) => string;
}

/** What Node's fetch sends at all. */
const headerText = fc.oneof(
  fc.constantFrom('"1"', '*', 'W/"x"', '""', 'x', 'MS4x', '1'),
  fc.uuid(),
  fc.string({ unit: 'grapheme-ascii', maxLength: 300 }).map((text) => text.trim()),
);
const HEADERS = [
  ...['if-match', 'if-none-match', 'idempotency-key', 'batch-id'],
  ...['x-read-token', 'x-request-id', 'x-act-as', 'last-event-id'],
];
/** A boss who loses the role, or the account, ends all others' sequences. */
const NOT_FOR_THE_BOSS = /^(DELETE \/v1\/sessions|(DELETE|PUT|PATCH) \/v1\/users)/;

export function stepOf(operation: Operation): fc.Arbitrary<Step> {
  const query = operation.parameters.filter((parameter) => parameter.in === 'query');
  const pathNames = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const callers = NOT_FOR_THE_BOSS.test(operation.name) ? (['nobody'] as const) : (['nobody', 'boss'] as const);
  return fc
    .record({
      caller: fc.oneof(
        ...(operation.path.startsWith('/v1/learners')
          ? [{ arbitrary: fc.constant('teacher' as const), weight: 12 }]
          : [{ arbitrary: fc.constant('service' as const), weight: 3 }]),
        { arbitrary: fc.constant('learner' as const), weight: 9 },
        { arbitrary: fc.constantFrom(...callers), weight: 1 },
      ),
      headers: fc.dictionary(fc.constantFrom(...HEADERS), headerText, { maxKeys: 2 }),
      body: bodyOf(operation),
      query: fc.record(Object.fromEntries(query.map(({ name, schema }) => [name, valueOf(schema)])), { requiredKeys: [] }),
      ids: fc.tuple(
        ...pathNames.map(() =>
          fc.record({
            choice: fc.nat(20),
            other: fc.oneof({ arbitrary: fc.constant(undefined), weight: 9 }, fc.webPath(), fc.uuid()),
          }),
        ),
      ),
    })
    .map(({ caller, headers, body: { type, text }, query: asked, ids }) => ({
      operation,
      caller,
      body: text,
      headers: { ...headers, ...(type !== undefined && { 'content-type': type }) },
      path: (known) => {
        let at = 0;
        const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
          const { choice, other } = ids[at++]!;
          return encodeURIComponent(other ?? known(name, choice) ?? randomUUID());
        });
        const parameters = Object.entries(asked).map(([name, value]) => [
          name,
          typeof value === 'string' ? value : (JSON.stringify(value) ?? ''),
        ]);
        return parameters.length > 0 ? `${path}?${new URLSearchParams(parameters)}` : path;
      },
    }));
}

/** Mostly by the schema, sometimes one that is known to be right, sometimes no JSON at all. */
function bodyOf(operation: Operation): fc.Arbitrary<{ type?: string; text?: string }> {
  const types = Object.keys(operation.bodies);
  if (types.length === 0) return fc.constant({});
  const described = fc.constantFrom(...types).chain((type) => {
    const value = valueOf(operation.bodies[type]!);
    const text = type.includes('ndjson')
      ? fc.array(value, { maxLength: 4 }).map((lines) => lines.map((line) => JSON.stringify(line)).join('\n'))
      : value.map((one) => JSON.stringify(one) ?? '');
    return text.map((written) => ({ type, text: written }));
  });
  const right = fc.nat(1000).map((number) => ({ type: types[0]!, text: JSON.stringify(validBody(operation, number)) }));
  const broken = fc.record({
    type: fc.constantFrom(...types, 'application/json', 'text/plain', 'application/xml', 'x'),
    text: fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.constantFrom('{', '[', '"', '{"a":}', '[1,]', '{"a":1,"a":2}', '\ufeff{}', 'null'),
    ),
  });
  return fc.oneof({ arbitrary: described, weight: 6 }, { arbitrary: right, weight: 5 }, { arbitrary: broken, weight: 1 });
}
