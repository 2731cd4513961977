import { findStale, type Operation, type Trouble } from './checker';

const write = (level: number, sent: number, answered = sent + 1, thing = 'x'): Operation => ({
  kind: 'write',
  thing,
  level,
  sent,
  answered,
});
const read = (level: number, sent: number, rest: Partial<Operation> = {}): Operation => ({
  kind: 'read',
  thing: 'x',
  level,
  sent,
  answered: sent + 1,
  ...rest,
});
const staleOf = (operations: Operation[], troubles: Trouble[] = []) =>
  findStale(operations, troubles).map(({ read: { level, sent }, level: due, because }) => ({ level, sent, due, because }));

describe('The checker of freshness', () => {
  it.each<[string, Operation[], Trouble[]?]>([
    ['nothing has happened', []],
    ['what was written is read at once', [write(1, 0), read(1, 1)]],
    ['a reader lags behind by less than 100 ms', [write(1, 0), write(2, 10), read(1, 110)]],
    ['a read is sent in time, and answered late', [write(1, 0), write(2, 10), read(1, 110, { answered: 5000 })]],
    ['a reader sees more than was acknowledged', [write(1, 0), read(2, 500)]],
    ['something else was written', [write(1, 0), write(9, 0, 1, 'y'), read(1, 500)]],
    ['a token is of an earlier write', [write(1, 0), write(2, 10), read(1, 12, { token: 1 })]],
    ['a write is not acknowledged yet', [write(1, 0), write(2, 10, 900), read(1, 950)]],
    ['Redis is away', [write(1, 0), write(2, 300), read(1, 5000)], [{ from: 200, until: 9000 }]],
    ['Redis has been back for less than a second', [write(2, 300), read(1, 1900)], [{ from: 200, until: 1000 }]],
    ['it went away before it could forget', [write(2, 300, 301), read(1, 2400)], [{ from: 350, until: 1500 }]],
    [
      'it went away again before it could forget',
      [write(2, 300), read(1, 3500)],
      [
        { from: 200, until: 1000 },
        { from: 1900, until: 3000 },
      ],
    ],
    ['only somebody has been shown a write, less than a second ago', [read(2, 10), read(1, 1000)]],
  ])('TI-5 has nothing to say where %s', (_, operations, ...[troubles]) => {
    expect(staleOf(operations, troubles)).toEqual([]);
  });

  it.each<[string, Operation[], object, Trouble[]?]>([
    ['100 ms after the acknowledgement', [write(2, 0, 1), read(1, 101)], { sent: 101, because: 'acknowledged' }],
    ['with a token, at once', [write(2, 0), read(1, 2, { token: 2 })], { sent: 2, because: 'token' }],
    [
      'with a token, whatever the trouble',
      [write(2, 0), read(1, 2, { token: 2 })],
      { sent: 2, because: 'token' },
      [{ from: 0, until: 99 }],
    ],
    [
      'after a trouble that was over before the write',
      [write(2, 500), read(1, 700)],
      { sent: 700, because: 'acknowledged' },
      [{ from: 0, until: 499 }],
    ],
    [
      'in a trouble that began when all had been forgotten: nothing comes back',
      [write(2, 0), read(1, 5000)],
      { sent: 5000, because: 'acknowledged' },
      [{ from: 4000, until: 6000 }],
    ],
    [
      'more than a second after the trouble',
      [write(2, 300), read(1, 2001)],
      { sent: 2001, because: 'acknowledged' },
      [{ from: 200, until: 1000 }],
    ],
    ['a second after somebody has been shown more', [read(2, 0), read(1, 1002)], { sent: 1002, because: 'acknowledged' }],
    [
      'whatever order the operations are told in',
      [read(1, 900), read(2, 800), write(1, 0), write(2, 10)],
      { sent: 900, because: 'acknowledged' },
    ],
  ])('TI-5 finds what is read %s', (_, operations, expected, ...[troubles]) => {
    expect(staleOf(operations, troubles)).toEqual([{ level: 1, due: 2, ...expected }]);
  });

  it('TI-5 names each stale read, and of a deleted thing as well', () => {
    const deleted = write(Infinity, 10);
    expect(staleOf([write(3, 0), deleted, read(3, 200), read(Infinity, 300), read(3, 400)])).toHaveLength(2);
  });
});
