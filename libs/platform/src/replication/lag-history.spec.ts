import { LagHistory } from './lag-history';

/** A place each second, beginning at 0 s. */
function historyOf(...lsns: number[]): LagHistory {
  const history = new LagHistory();
  for (const [second, lsn] of lsns.entries()) history.record(BigInt(lsn), second * 1000);
  return history;
}

describe('How far a standby is behind', () => {
  it.each<[string, number[], number, number, number]>([
    ['has replayed all there is', [10, 20, 30], 30, 2, 0],
    ['has replayed more than was last seen', [10, 20, 30], 35, 2, 0],
    ['has not replayed what was written in the last second', [10, 20, 30], 20, 2, 1],
    ['stands within what was written in a second', [10, 20, 30], 25, 2, 0.5],
    ['is all but there', [10, 20, 1030], 1020, 2, 0.01],
    ['has stood still for longer', [10, 20, 30, 40, 50], 20, 9, 8],
    ['waits for what was written after a long silence', [10, 10, 10, 10, 20], 10, 4.5, 1.5],
    ['is further behind than anybody remembers', [10, 20, 30], 5, 2, 2],
  ])('SC-3 is told of one that %s', (_, lsns, replayed, now, seconds) => {
    expect(historyOf(...lsns).secondsBehind(BigInt(replayed), now * 1000)).toBeCloseTo(seconds, 2);
  });

  it('SC-3 is not known while nothing was seen', () => {
    expect(new LagHistory().secondsBehind(0n, 1000)).toBe(0);
  });

  it('SC-3 grows while a standby stands still, however long that is', () => {
    const history = new LagHistory();
    for (let second = 0; second < 100_000; second++) {
      history.record(BigInt(100 + second), second * 1000);
      history.forgetBefore(100n);
    }
    expect(history.secondsBehind(100n, 100_000_000)).toBe(100_000);
    // What is long ago is known less exactly.
    expect(Math.abs(history.secondsBehind(50_100n, 100_000_000) - 50_000)).toBeLessThan(500);
    expect(history.secondsBehind(100_098n, 100_000_000)).toBe(2);
    expect((history as unknown as { places: unknown[] }).places.length).toBeLessThanOrEqual(4096);
  });

  it('forgets what everybody has replayed, and a server whose log was longer', () => {
    const history = historyOf(10, 20, 30);
    history.forgetBefore(20n);
    expect(history.secondsBehind(20n, 2000)).toBe(1);
    history.record(5n, 3000);
    history.record(8n, 4000);
    expect(history.secondsBehind(5n, 4000)).toBe(1);
  });
});
