import { windowAt } from './window';

const at = (time: string) => new Date(`2026-11-29T${time}Z`);

describe('A maintenance window', () => {
  it.each([
    ['02:00-04:30', '01:59:59', undefined],
    ['02:00-04:30', '02:00:00', { since: at('02:00:00'), leftMs: 150 * 60_000 }],
    ['02:00-04:30', '04:29:59', { since: at('02:00:00'), leftMs: 1000 }],
    ['02:00-04:30', '04:30:00', undefined],
    ['23:00-01:00', '23:30:00', { since: at('23:00:00'), leftMs: 90 * 60_000 }],
    ['23:00-01:00', '00:30:00', { since: new Date('2026-11-28T23:00:00Z'), leftMs: 30 * 60_000 }],
    ['23:00-01:00', '12:00:00', undefined],
    ['00:00-00:00', '12:00:00', { since: at('00:00:00'), leftMs: 12 * 3_600_000 }],
  ])('%s at %s', (window, time, expected) => expect(windowAt(window, at(time))).toEqual(expected));
});
