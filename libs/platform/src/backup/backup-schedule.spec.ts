import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Logger } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { loadSettings } from '../config/config';
import { BackupSchedule, dueBackup, isDrillDue } from './backup-schedule';
import type { Backup, BackupType } from './backups';
import { writeSealed } from './sealed-file';

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
    ['the latest is of next year, by a clock that was wrong', [['full', -24 * 365]], 'full', 'full'],
  ])('%s', (_, made, served, embedded) => {
    expect([dueBackup(madeOnes(...made), false), dueBackup(madeOnes(...made), true)]).toEqual([served, embedded]);
  });
});

describe('whether a drill is due', () => {
  const ago = (hours: number | undefined) =>
    hours === undefined ? undefined : new Date(Date.now() - hours * HOUR).toISOString();

  it.each<[string, number, number | undefined, number | undefined, boolean]>([
    ['there was none', 2, undefined, undefined, true],
    ['one of this week went well', 2, 24 * 3, 24 * 3, false],
    ['the last that went well is of the week before', 2, 24 * 8, 24 * 8, true],
    ['none went well, the last an hour ago, of the latest backup', 2, undefined, 1, false],
    ['none went well, the last yesterday', 30, undefined, 24, true],
    ['none went well, the last an hour ago, and since then there is another backup', 0.5, undefined, 1, true],
    ['the last that went well is of next year, by a clock that was wrong', 2, -24 * 365, -24 * 365, true],
  ])('%s', (_, backup, proven, tried, due) =>
    expect(isDrillDue(madeOnes(['full', backup]), ago(proven), ago(tried))).toBe(due),
  );
});

describe('a process that makes backups', () => {
  const folder = mkdtempSync(join(tmpdir(), 'studently-backup-schedule-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('MO-3 tells the age of the latest one also where it can make no other', async () => {
    const key = randomBytes(32);
    const [backup] = madeOnes(['full', 48]);
    mkdirSync(join(folder, 'backups'));
    const file = join(folder, 'backups', '20261128-000000-000F.backup');
    await writeSealed(file, createSecretKey(key), backup!, Readable.from(['x']));
    writeFileSync(join(folder, 'data'), 'no folder');
    const settings = loadSettings({
      STUDENTLY_DATA_DIR: join(folder, 'data'),
      BACKUP_DIR: join(folder, 'backups'),
      BACKUP_KEY: key.toString('hex'),
      BACKUP_SCHEDULE: 'on',
    });
    const gauges = ['age', 'size', 'duration', 'proven'].map((name) => new Gauge({ name, help: name, registers: [] }));
    const [age, size, duration, proven] = gauges as [Gauge, Gauge, Gauge, Gauge];
    const said = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    await new BackupSchedule(settings, true, age, size, duration, proven).turn();
    expect(said.mock.calls.map(([text]) => text as string)).toContainEqual(expect.stringContaining('No backup was made'));
    said.mockRestore();
    expect((await age.get()).values[0]!.value / 3600).toBeCloseTo(48, 1);
  });
});
