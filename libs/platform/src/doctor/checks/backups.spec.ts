import { judgeBackups } from './backups';

const NOW = Date.parse('2026-11-29T12:00:00Z');
const ago = (hours: number) => new Date(NOW - hours * 3_600_000).toISOString();
const judged = (backup: number | undefined, proof: number | undefined) =>
  judgeBackups(
    backup === undefined ? undefined : { endedAt: ago(backup) },
    proof === undefined ? undefined : ago(proof),
    NOW,
  ).map(({ severity, what, mend }) => `${severity}: ${what} ${mend}`);

describe('The doctor, of backups', () => {
  it.each<[string, number | undefined, number | undefined, RegExp[]]>([
    ['is of yesterday, and proven this week', 35, 7 * 24, []],
    ['is too old', 37, 7 * 24, [/^warning: The newest backup is 37 hours old. \$ npx studently backup run$/]],
    ['was never proven', 1, undefined, [/^warning: No backup has ever been proven.* \$ npx studently backup drill$/]],
    ['was proven too long ago', 1, 10 * 24, [/^warning: The last proof .* is 10 days old. \$ npx studently backup drill$/]],
    ['is too old, and so is the proof', 100, 300, [/100 hours/, /13 days/]],
    ['is not there', undefined, 1, [/^critical: There is no backup.* \$ npx studently backup run --type full/]],
  ])('TB-1 TB-2 says what is to be said of one that %s', (_, backup, proof, expected) => {
    expect(judged(backup, proof)).toEqual(expected.map((words) => expect.stringMatching(words)));
  });
});
