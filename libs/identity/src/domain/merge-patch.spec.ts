import * as fc from 'fast-check';
import { mergePatch, type JsonObject, type JsonValue } from './merge-patch';

/** RFC 7396, appendix A: original, patch, result. */
const APPENDIX: [JsonValue, JsonValue, JsonValue][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

const json = fc.jsonValue() as fc.Arbitrary<JsonValue>;
const object = fc.dictionary(fc.string(), json, { noNullPrototype: true }) as fc.Arbitrary<JsonObject>;
const hasNull = (value: JsonValue): boolean =>
  value === null || (typeof value === 'object' && !Array.isArray(value) && Object.values(value).some(hasNull));

describe('A JSON merge patch', () => {
  it.each(APPENDIX)('ID-12 %j patched by %j is %j', (original, patch, result) => {
    expect(mergePatch(original, patch)).toEqual(result);
  });

  it('ID-12 says the same twice as once, and leaves the original as it was', () => {
    fc.assert(
      fc.property(json, json, (original, patch) => {
        const before = JSON.stringify(original);
        const once = mergePatch(original, patch);
        expect(mergePatch(once, patch)).toEqual(once);
        expect(JSON.stringify(original)).toBe(before);
      }),
    );
  });

  it('changes nothing when empty, and puts in everything when there was nothing', () => {
    fc.assert(
      fc.property(object, (value) => {
        expect(mergePatch(value, {})).toEqual(value);
        if (!hasNull(value)) expect(mergePatch(undefined, value)).toEqual(value);
      }),
    );
  });

  it('touches no prototype', () => {
    const patched = mergePatch({}, JSON.parse('{"__proto__": {"polluted": true}}') as JsonValue) as JsonObject;
    expect(({} as JsonObject)['polluted']).toBeUndefined();
    expect(Object.getPrototypeOf(patched)).toBe(Object.prototype);
  });
});
