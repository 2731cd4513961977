import { findingsOf, gapsIn, segmentAt } from './pgbackrest';

const MB = 2 ** 20;
const OK = `stanza: s
status: ok
  archiveId: 15-1, total WAL checked: 6, total valid WAL: 6
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261129-095018F, status: valid, total files checked: 967, total valid files: 967
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
`;

describe('what pgBackRest says', () => {
  it('is well only where it says so, and counts nothing', () => {
    expect(findingsOf(OK)).toEqual([]);
    expect(findingsOf(OK.replace('status: ok', 'status: error'))).toHaveLength(1);
    expect(findingsOf('')).toHaveLength(1);
    expect(findingsOf('stanza: s\nstatus: error\n  No usable backup.info file\n')).toEqual(['No usable backup.info file']);
    expect(findingsOf(OK.replace(/(967\n {4}missing: )0, checksum invalid: 0/, '$11, checksum invalid: 2'))).toEqual([
      'backup 20261129-095018F: 1 files are gone',
      'backup 20261129-095018F: 2 files are not what they were (their checksum is another)',
    ]);
    expect(findingsOf(OK.replace('other: 0', 'other: 3'))).toEqual(['the WAL archive: 3 files cannot be read']);
  });

  it('does not name segments that are gone: the gaps are found across logs, and only within a timeline', () => {
    const names = ['0000000100000000000000FE', '0000000100000000000000FF', '000000010000000100000000'];
    expect(gapsIn(names, 16 * MB, [names[0]!])).toEqual([]);
    expect(gapsIn([names[0]!, names[2]!], 16 * MB, [names[0]!])).toEqual([
      'the WAL archive: 1 segment after 0000000100000000000000FE is gone',
    ]);
    expect(gapsIn([names[0]!, '000000020000000100000005'], 16 * MB, [names[0]!])).toEqual([]);
    expect(gapsIn([names[0]!, names[2]!], 16 * MB, [names[2]!])).toEqual([]);
  });

  it('misses the segment with which a backup begins, also the first of all, and of another timeline', () => {
    const names = ['000000010000000000000005', '000000010000000000000006', '000000020000000000000007'];
    expect(gapsIn(names, 16 * MB, names)).toEqual([]);
    const gone = (name: string) => `the WAL archive: ${name} is gone, with which a backup begins`;
    expect(gapsIn(names.slice(1), 16 * MB, names)).toEqual([gone(names[0]!)]);
    expect(gapsIn(names.slice(0, 2), 16 * MB, names)).toEqual([gone(names[2]!)]);
    expect(gapsIn([], 16 * MB, [names[0]!, names[0]!])).toEqual([gone(names[0]!)]);
  });

  it('says where an LSN lies', () => {
    expect(segmentAt('0/90000C8', 16 * MB)).toBe('0000000000000009');
    expect(segmentAt('A/FF000028', 16 * MB)).toBe('0000000A000000FF');
    expect(segmentAt('0/90000C8', MB)).toBe('0000000000000090');
  });
});
