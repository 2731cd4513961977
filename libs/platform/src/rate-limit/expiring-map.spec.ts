import { setTimeout as sleep } from 'node:timers/promises';
import { ExpiringMap } from './expiring-map';

describe('A map of values that end', () => {
  it('forgets each at its time', async () => {
    const map = new ExpiringMap<number>(10);
    map.set('short', 1, 20);
    map.set('long', 2, 60_000);
    expect(map.get('short')).toEqual({ value: 1, msLeft: expect.any(Number) });
    await sleep(30);
    expect([map.get('short'), map.get('long')?.value, map.get('nothing')]).toEqual([undefined, 2, undefined]);
  });

  it('never holds more than it may: the oldest go first', () => {
    const map = new ExpiringMap<number>(3);
    for (let nr = 0; nr < 100; nr++) map.set(String(nr), nr, 60_000);
    expect(map.size).toBe(3);
    expect(['96', '97', '98', '99'].map((key) => map.get(key)?.value)).toEqual([undefined, 97, 98, 99]);
  });

  it('makes room of what has ended, and of what is set again', async () => {
    const map = new ExpiringMap<number>(10);
    for (let nr = 0; nr < 5; nr++) map.set(String(nr), nr, 1);
    await sleep(5);
    map.set('new', 1, 60_000);
    map.set('new', 2, 60_000);
    expect([map.size, map.get('new')?.value]).toEqual([1, 2]);
  });
});
