import { dueBackup } from './backup-schedule';
import type { Backup, BackupType } from './backups';

const HOUR = 3_600_000;

/** @param made type and age in hours, the oldest first */
const madeOnes = (...made: [BackupType, number][]): Backup[] =>
  made.map(([type, hours]) => {
    const at = new Date(Date.now() - hours * HOUR).toISOString();
    return { label: at, type, startedAt: at, endedAt: at, size: 1, stored: 1, needs: [] };
  });

describe('which backup is due', () => {
  it.each<[string, [BackupType, number][], BackupType | undefined, BackupType | undefined]>([
    ['there is none', [], 'full', 'full'],
    ['one is of this day', [['full', 2]], undefined, undefined],
    ['the latest is of yesterday', [['full', 24]], 'diff', 'full'],
    ['a differential one is of this day', [['full', 24], ['diff', 1]], undefined, undefined], // prettier-ignore
    ['the full one is of last week', [['full', 24 * 7], ['diff', 24]], 'full', 'full'], // prettier-ignore
    ['there is no full one any more', [['incr', 30]], 'full', 'full'],
  ])('%s', (_, made, served, embedded) => {
    expect([dueBackup(madeOnes(...made), false), dueBackup(madeOnes(...made), true)]).toEqual([served, embedded]);
  });
});
