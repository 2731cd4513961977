import * as fc from 'fast-check';
import type { DomainError } from './errors/domain-error';
import { parseJson } from './json';

const refusal = (text: string): [code: string, ...faults: string[]] => {
  try {
    parseJson(text);
  } catch (error) {
    const { code, details } = error as DomainError;
    return [code, ...(details.faults ?? []).map((fault) => `${fault.path}: ${fault.code}`)];
  }
  return ['accepted'];
};
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
/** JSON that every route may keep. */
const keepable = fc
  .jsonValue({ stringUnit: 'grapheme' })
  .filter((value) => !/__proto__|constructor|prototype|\\u0000|null byte/.test(JSON.stringify(value)));

describe('A JSON body', () => {
  it('is parsed as it is', () => {
    fc.assert(
      fc.property(keepable, (value) => expect(parseJson(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)))),
    );
  });

  it.each(['', '{', '{"a":}', "{'a':1}", '{"a":1,}', 'NaN', '{"a":Infinity}', 'undefined', '\u0000', '{"a":1}{"b":2}'])(
    'that is %j is no JSON',
    (text) => {
      expect(refusal(text)).toEqual(['MALFORMED_JSON']);
    },
  );

  it.each([
    ['a NUL', '{"a":{"b":["x\\u0000"]}}', 'a.b.0: nul_character'],
    ['half of a character', '{"title":"\\ud83c"}', 'title: lone_surrogate'],
    ['halves in the wrong order', '{"title":"\\udf31\\ud83c"}', 'title: lone_surrogate'],
    ['a number beyond all numbers', '{"n":1e999}', 'n: number_too_large'],
    ['a negative one', '{"n":-1e999}', 'n: number_too_large'],
    ['a key __proto__', '{"a":{"__proto__":{"admin":true}}}', 'a.__proto__: forbidden_key'],
    ['a key constructor', '{"constructor":{}}', 'constructor: forbidden_key'],
    ['a key prototype', '{"prototype":1}', 'prototype: forbidden_key'],
  ])('with %s is refused where it stands', (_, text, fault) => {
    expect(refusal(text)).toEqual(['VALIDATION_FAILED', fault]);
  });

  it.each([
    ['a NUL', '{"a\\u0000":1}'],
    ['half of a character', '{"\\ud83c":1}'],
  ])('whose key has %s is refused', (_, text) => {
    expect(refusal(text)[1]).toMatch(/invalid_key$/);
  });

  it('whose key is without end is refused by the beginning of it', () => {
    const [, fault] = refusal(`{"${'long '.repeat(100_000)}":{"a":"x\\u0000"}}`);
    expect(fault).toBe(`${'long '.repeat(20)}….a: nul_character`);
  });

  it('knows one zero, as PostgreSQL does', () => {
    expect(parseJson('{"a":[-0,-0.0,0,-0.5],"b":"-0"}')).toEqual({ a: [0, 0, 0, -0.5], b: '-0' });
  });

  it('may nest 32 levels, not 33, and 100,000 do no harm', () => {
    expect(refusal(nested(32))).toEqual(['accepted']);
    expect(refusal(nested(33))[0]).toBe('VALIDATION_FAILED');
    expect(['VALIDATION_FAILED', 'MALFORMED_JSON']).toContain(refusal(nested(100_000))[0]);
  });

  it('names many faults, but no flood of them', () => {
    const [, ...faults] = refusal(JSON.stringify(Array(1000).fill('\0')));
    expect(faults.length).toBeGreaterThanOrEqual(20);
    expect(faults.length).toBeLessThan(30);
  });

  it('may hold characters of every kind, whole', () => {
    expect(refusal('{"title":"🌱 \\ud83c\\udf31 \\u0001 \u2028 ﷽"}')).toEqual(['accepted']);
  });
});
