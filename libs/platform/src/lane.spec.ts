import { setTimeout as sleep } from 'node:timers/promises';
import { backOffMs, Lane, LaneFull } from './lane';

/** Work that ends when it is told to. */
function tasks(lane: Lane) {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const run = (nr: number, ending?: AbortSignal) =>
    lane.run(async () => {
      begun.push(nr);
      await new Promise<void>((resolve) => (ends[nr] = resolve));
      return nr;
    }, ending);
  return { begun, run, end: (nr: number) => ends[nr]!() };
}

describe('A lane', () => {
  it('lets a few in at a time, in the order in which they came, and has so many wait', async () => {
    const lane = new Lane(2, 2, Infinity);
    const { begun, run, end } = tasks(lane);
    const all = [0, 1, 2, 3].map((nr) => run(nr));
    await expect(run(4)).rejects.toBeInstanceOf(LaneFull);
    expect(begun).toEqual([0, 1]);
    end(1);
    await all[1];
    await sleep(0);
    expect(begun).toEqual([0, 1, 2]);
    for (const nr of [0, 2]) end(nr);
    await Promise.all([all[0], all[2]]);
    await sleep(0);
    end(3);
    expect(await Promise.all(all)).toEqual([0, 1, 2, 3]);
  });

  it('what fails makes room as well', async () => {
    const lane = new Lane(1, 9, Infinity);
    await expect(lane.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await lane.run(async () => 'next')).toBe('next');
  });

  it('who waits may leave, and is not let in any more', async () => {
    const lane = new Lane(1, 9, Infinity);
    const { begun, run, end } = tasks(lane);
    const first = run(0);
    const ending = new AbortController();
    const second = run(1, ending.signal);
    const third = run(2);
    ending.abort(new Error('enough'));
    await expect(second).rejects.toThrow('enough');
    await expect(run(3, ending.signal)).rejects.toThrow('enough');
    end(0);
    await first;
    await sleep(0);
    end(2);
    await third;
    expect(begun).toEqual([0, 2]);
  });

  it('lets nobody in while it is closed: the patient wait, the impatient are told', async () => {
    const patient = new Lane(1, 9, Infinity);
    const impatient = new Lane(1, 9, 50);
    for (const lane of [patient, impatient]) lane.close(150);
    const began = performance.now();
    await expect(impatient.run(async () => 1)).rejects.toBeInstanceOf(LaneFull);
    expect(await patient.run(async () => 1)).toBe(1);
    expect(performance.now() - began).toBeGreaterThan(140);
  });

  it('is closed for longer each time in a row, once for all that fail together', () => {
    const lane = new Lane(1, 9, Infinity);
    lane.close();
    const first = lane.closedForMs;
    for (let nr = 0; nr < 10; nr++) lane.close();
    expect(lane.closedForMs).toBeLessThanOrEqual(first);
    expect(first).toBeLessThanOrEqual(250);
    expect(backOffMs(6)).toBeGreaterThanOrEqual(4000);
    expect(backOffMs(60)).toBeLessThanOrEqual(30_000);
  });
});
