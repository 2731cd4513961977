import { findFaults, type AuditEvent, type Row, type Write } from './checker';

const write = (name: string, id?: string): Write => ({ kind: 'progress', name, id });
const row = (name: string | null, id: string, more: Partial<Row> = {}): Row => ({
  kind: 'progress',
  name,
  id,
  subject: id,
  effects: null,
  ...more,
});
const event = (name: string | null, subject: string, kind = 'progress'): AuditEvent => ({ kind, name, subject });

describe('The checker of durability', () => {
  it.each<[string, Write[], Row[], AuditEvent[]]>([
    ['nothing was written', [], [], []],
    ['what was acknowledged is there', [write('a', '1')], [row('a', '1')], [event('a', '1')]],
    ['what was given up is not there', [write('a')], [], []],
    ['what was given up is there', [write('a')], [row('a', '1')], [event('a', '1')]],
    ['its effect has happened once', [write('a', '1')], [row('a', '1', { effects: 1 })], [event('a', '1')]],
    ['events name what it belongs to', [write('a', '1')], [row('a', '1', { subject: 'x' })], [event('a', 'x')]],
  ])('DM-4 has nothing to say where %s', (_, writes, rows, events) => {
    expect(findFaults(writes, rows, events)).toEqual([]);
  });

  it.each<[string, Write[], Row[], AuditEvent[], string[]]>([
    ['is lost', [write('a', '1'), write('b', '2')], [row('b', '2')], [event('b', '2')], ['progress a is lost']],
    [
      'is lost, and logged',
      [write('a', '1')],
      [],
      [event('a', '1')],
      ['progress a is lost', 'progress a has 0 rows and 1 audit events'],
    ],
    [
      'is there twice, by a second request',
      [write('a', '1')],
      [row('a', '1'), row('a', '2')],
      [event('a', '1'), event('a', '2')],
      ['progress a is there 2 times'],
    ],
    [
      'is there twice though it was given up',
      [write('a')],
      [row('a', '1'), row('a', '2')],
      [event('a', '1'), event('a', '2')],
      ['progress a is there 2 times'],
    ],
    ['has another id', [write('a', '1')], [row('a', '2')], [event('a', '2')], ['progress a was acknowledged as 1, and is 2']],
    ['is not in the audit log', [write('a', '1')], [row('a', '1')], [], ['progress a has 1 rows and 0 audit events']],
    [
      'is in the audit log twice',
      [write('a', '1')],
      [row('a', '1')],
      [event('a', '1'), event('a', '1')],
      ['progress a has 1 rows and 2 audit events'],
    ],
    [
      'is logged though it was given up and is not there',
      [write('a')],
      [],
      [event('a', '1')],
      ['progress a has 0 rows and 1 audit events'],
    ],
    [
      'is logged as another',
      [write('a', '1')],
      [row('a', '1')],
      [event('a', '2')],
      ['progress a has an audit event about something else'],
    ],
    [
      'is logged as another kind',
      [write('a', '1')],
      [row('a', '1')],
      [event('a', '1', 'item')],
      ['progress a has 1 rows and 0 audit events', 'item 1: an event of no write'],
    ],
    ['was written by nobody', [], [row(null, '1')], [], ['progress 1: nobody has written it']],
    ['has had no effect', [write('a', '1')], [row('a', '1', { effects: 0 })], [event('a', '1')], ['progress 1: 0 effects']],
    [
      'has had its effect twice',
      [write('a', '1')],
      [row('a', '1', { effects: 2 })],
      [event('a', '1')],
      ['progress 1: 2 effects'],
    ],
  ])('DM-4 finds what %s', (_, writes, rows, events, expected) => {
    expect(findFaults(writes, rows, events)).toEqual(expected);
  });
});
