import * as fc from 'fast-check';
import { open as openBytes, seal, type Envelope } from './envelope';

const open = (text: string) => openBytes(Buffer.from(text));

const envelope: Envelope = {
  generation: 'g',
  mark: '1/5:7:6',
  at: 1,
  etag: '3',
  json: Buffer.from('{"title":"🌱\\n"}'),
};
const sealed = seal(envelope).toString();

describe('A cached envelope', () => {
  it('TU-5 RED-14 gives back what was put in, the data untouched', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.nat(),
        fc.string(),
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        (generation, mark, at, etag, json) => {
          expect(openBytes(seal({ generation, mark, at, etag, json }))).toEqual({
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
    ['of an unknown version', sealed.replace(/"v":\d+/, '"v":999')],
    ['without a version', sealed.replace(/"v":\d+,/, '')],
    ['with a version of another type', sealed.replace(/"v":(\d+)/, '"v":"$1"')],
    ['without a generation', sealed.replace('"generation"', '"other"')],
    ['without a mark', sealed.replace('"mark"', '"other"')],
    ['cut off in its header', sealed.slice(0, 20)],
    ['without a line end', sealed.replace('\n', ' ')],
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
