import * as fc from 'fast-check';
import { decodeReadToken, encodeReadToken, markSees, snapshotSees } from './read-token';

describe('A read token', () => {
  it('carries any 64-bit transaction id of any timeline there and back', () => {
    const timelines = fc.integer({ min: 1, max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(timelines, fc.bigInt(0n, 2n ** 64n - 1n), (timeline, xid) =>
        expect(decodeReadToken(encodeReadToken(timeline, String(xid)))).toEqual({ timeline, xid }),
      ),
    );
  });

  it.each([
    ['nothing', ''],
    ['a word', 'token'],
    ['the bare number', '1234'],
    ['without a timeline', Buffer.from('1.1234').toString('base64url')],
    ['another version', Buffer.from('2.1.1234').toString('base64url')],
    ['a negative number', Buffer.from('1.1.-1').toString('base64url')],
    ['a number of 21 digits', Buffer.from(`1.1.${'9'.repeat(21)}`).toString('base64url')],
    ['SQL', Buffer.from("1.1.1'; drop table users --").toString('base64url')],
    ['two of them', encodeReadToken(1, '1') + encodeReadToken(1, '2')],
  ])('that is %s is refused', (_, text) => {
    expect(() => decodeReadToken(text)).toThrow(
      expect.objectContaining({
        code: 'VALIDATION_FAILED',
        details: { faults: [expect.objectContaining({ path: 'X-Read-Token' })] },
      }),
    );
  });
});

/** A snapshot as PostgreSQL writes it: xmin:xmax:those that were running. */
describe('The snapshot 100:110:100,103,105 sees', () => {
  it.each([
    [1n, true, 'over long before'],
    [99n, true, 'the last one before the first that ran'],
    [100n, false, 'the first that ran'],
    [101n, true, 'committed although an older one ran'],
    [103n, false, 'running'],
    [105n, false, 'running'],
    [109n, true, 'the last one that was over'],
    [110n, false, 'not begun'],
    [111n, false, 'not begun'],
    [10n, true, 'a number that is the beginning of others'],
  ])('%s: %s (%s)', (xid, seen) => {
    expect(snapshotSees('100:110:100,103,105', xid)).toBe(seen);
  });

  it('and without anything running all that is below xmax', () => {
    expect([99n, 100n, 101n].map((xid) => snapshotSees('100:100:', xid))).toEqual([true, false, false]);
  });

  it('and beyond 32 bits the same', () => {
    const big = 2n ** 40n;
    expect(snapshotSees(`${big}:${big + 2n}:${big}`, big)).toBe(false);
    expect(snapshotSees(`${big}:${big + 2n}:${big}`, big + 1n)).toBe(true);
    expect(snapshotSees(`${big}:${big + 2n}:${big}`, 5n)).toBe(true);
  });
});

describe('A mark', () => {
  it.each([
    ['3/100:110:105', { timeline: 3, xid: 101n }, true],
    ['3/100:110:105', { timeline: 3, xid: 105n }, false],
    ['3/100:110:', { timeline: 2, xid: 50n }, false],
    ['3/100:110:', { timeline: 4, xid: 50n }, false],
    ['33/100:110:', { timeline: 3, xid: 50n }, false],
  ])('%s sees %p: %s', (mark, write, seen) => {
    expect(markSees(mark, write)).toBe(seen);
  });
});
