import { InvalidArgumentError } from 'commander';
import { readTime } from './audit';

describe('A time on the command line', () => {
  it.each([
    ['2026-11-22', '2026-11-22T00:00:00.000Z'],
    ['2026-11-22T08:00', '2026-11-22T08:00:00.000Z'],
    ['2026-11-22 08:00:30', '2026-11-22T08:00:30.000Z'],
    ['2026-11-22T08:00:30.123Z', '2026-11-22T08:00:30.123Z'],
    ['2026-11-22T08:00+01:00', '2026-11-22T07:00:00.000Z'],
    ['2026-11-22 08:00:30.121093+00', '2026-11-22T08:00:30.121Z'], // as PostgreSQL has it, and `backup restore` says it
    ['2026-11-22 08:00:30-0330', '2026-11-22T11:30:30.000Z'],
  ])('%s is UTC, if it does not say otherwise', (text, time) => expect(readTime(text).toISOString()).toBe(time));

  it.each(['5', '2026', '11/22/2026', '2026-11-22T', '2026-13-01', '2026-11-22T25:00', 'yesterday', ''])('%j is none', (text) =>
    expect(() => readTime(text)).toThrow(InvalidArgumentError),
  );
});
