import { failedInPeace, faultsOf, outageOf, type Request } from './ledger';

const kept = (content: string, seq: number) => ({ content, id: `id-${content}`, seq });
const acknowledged = (content: string, seq: number) => ({ content, answer: { id: `id-${content}`, seq } });

describe('what is kept of a chat after promotions', () => {
  it('SC-2 is well where each acknowledged message is there once, and of the others any', () => {
    const asked = [acknowledged('a', 1), { content: 'b' }, { content: 'c' }, acknowledged('d', 3)];
    expect(faultsOf(asked, [kept('a', 1), kept('c', 2), kept('d', 3)])).toEqual([]);
  });

  it.each([
    ['an acknowledged message that is lost', [acknowledged('a', 1)], [], ['a was acknowledged, and is lost']],
    ['one that is there twice', [acknowledged('a', 1)], [kept('a', 1), kept('a', 2)], ['a is there 2 times']],
    ['one that nobody acknowledged, twice', [{ content: 'a' }], [kept('a', 1), kept('a', 2)], ['a is there 2 times']],
    [
      'one that is another than was acknowledged',
      [acknowledged('a', 1), acknowledged('b', 1)],
      [kept('a', 1), kept('b', 2)],
      ['b is 2 id-b, and was acknowledged as 1 id-b'],
    ],
    ['what nobody has said', [], [kept('a', 1)], ['nobody has said a']],
    ['a gap', [acknowledged('a', 2)], [kept('a', 2)], ['2 comes after 0 messages']],
  ])('SC-2 finds %s', (_, asked, messages, faults) => {
    expect(faultsOf(asked, messages)).toEqual(faults);
  });
});

const write = (sent: number, answered: number, isDone = true): Request => ({ sent, answered, isWrite: true, isDone });
const read = (sent: number, answered: number, isDone = true): Request => ({ ...write(sent, answered, isDone), isWrite: false });

describe('how long writes were not possible', () => {
  it.each<[string, number, Request[]]>([
    ['until the first one that is acknowledged', 500, [write(90, 95), write(110, 120, false), write(590, 600)]],
    ['for ever, if none is', Infinity, [write(90, 95), write(110, 120, false)]],
    [
      'also where the last answer still came through',
      499,
      [write(90, 101), write(110, 120, false), write(590, 600), write(610, 620)],
    ],
    ['whatever is read meanwhile', 500, [read(200, 210), write(590, 600)]],
    ['in the longer one of two interruptions', 700, [write(290, 300), write(990, 1000), write(1010, 1020)]],
  ])('SC-2 %s', (_, expected, requests) => {
    expect(outageOf(requests, 100)).toBe(expected);
  });

  it('SC-2 finds what failed before, and what was sent too late to fail', () => {
    const before = write(10, 20, false);
    const late = read(350, 360, false);
    const allowed = [write(90, 120, false), write(299, 400, false), write(310, 320)];
    expect(failedInPeace([before, ...allowed, late], 100, 200)).toEqual([before, late]);
  });
});
