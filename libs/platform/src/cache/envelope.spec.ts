import * as fc from 'fast-check';
import { open as openBytes, seal, type Envelope } from './envelope';

const open = (text: string) => {
  const envelope = openBytes(Buffer.from(text));
  return envelope && { ...envelope, json: envelope.json.toString() };
};

const envelope: Envelope & { json: string } = {
  generation: 'g',
  mark: '1/5:7:6',
  at: 1,
  etag: '3',
  json: '{"title":"🌱\\n"}',
};

describe('A cached envelope', () => {
  it('TU-5 RED-14 gives back what was put in, the data untouched', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.nat(),
        fc.string(),
        fc.string({ unit: 'grapheme' }),
        (generation, mark, at, etag, json) => {
          expect(open(seal({ generation, mark, at, etag, json }))).toEqual({
            v: expect.any(Number),
            generation,
            mark,
            at,
            etag,
            json,
          });
        },
      ),
    );
  });

  it.each([
    ['of an unknown version', seal(envelope).replace(/"v":\d+/, '"v":999')],
    ['without a version', seal(envelope).replace(/"v":\d+,/, '')],
    ['with a version of another type', seal(envelope).replace(/"v":(\d+)/, '"v":"$1"')],
    ['without a generation', seal(envelope).replace('"generation"', '"other"')],
    ['without a mark', seal(envelope).replace('"mark"', '"other"')],
    ['cut off in its header', seal(envelope).slice(0, 20)],
    ['without a line end', seal(envelope).replace('\n', ' ')],
    ['that is empty', ''],
    ['that is only a line end', '\n'],
    ['that is only data', envelope.json.toString()],
    ['whose header is no object', '1\n{}'],
    ['whose header is null', 'null\n{}'],
  ])('RED-14 %s is a miss', (_, text) => {
    expect(open(text)).toBeUndefined();
  });

  it('RED-14 of any text at all is an envelope or a miss, never an error', () => {
    fc.assert(fc.property(fc.string(), (text) => expect(open(text)).toBeUndefined()));
    fc.assert(fc.property(fc.json(), fc.string(), (header, rest) => expect(open(`${header}\n${rest}`)).toBeUndefined()));
  });
});
