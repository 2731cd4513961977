import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackupFault, loadSettings, openBackups, type Point } from '@studently/platform';
import { until } from '../e2e/support';
import { ApiProcess } from '../support/api-process';
import { flipBit } from '../support/backup-stage';
import { HttpClient, logIn, newLearner } from '../support/http';
import { studently } from '../support/studently';

const LATEST: Point = { kind: 'latest' };

describe('backups of an embedded database', () => {
  let folder: string;
  let settings: NodeJS.ProcessEnv;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'studently-embedded-backup-'));
    const data = join(folder, 'data');
    cpSync(process.env['TEST_EMBEDDED_TEMPLATE']!, data, { recursive: true });
    settings = { STUDENTLY_DATA_DIR: data, LOG_ACCESS: 'false' };
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const files = () => readdirSync(join(folder, 'data/backups')).map((name) => join(folder, 'data/backups', name));
  const faultOf = (more: NodeJS.ProcessEnv, point: Point, target: string) =>
    openBackups(loadSettings({ ...settings, ...more }))
      .restore(point, target)
      .then(
        () => 'restored',
        (error: unknown) => (error instanceof BackupFault ? [error.code, existsSync(target)] : Promise.reject(error as Error)),
      );

  it('TB-1 TB-2 copies a running one, and the copy runs with the keys beside it', async () => {
    const api = await ApiProcess.start(settings);
    const target = join(folder, 'restored');
    try {
      const http = new HttpClient(api.url);
      const learner = await newLearner(http);
      const made = await studently(settings, '--json', 'backup', 'run');
      expect({ code: made.code, err: made.err }).toEqual({ code: 0, err: '' });
      const later = await newLearner(http);
      const restored = await studently(settings, 'backup', 'restore', '--to', 'latest', '--target', target);
      expect(restored).toMatchObject({ code: 0, out: expect.stringContaining(`STUDENTLY_DATA_DIR=${target}`) });
      for (const name of ['master.key', 'keys', 'audit-signing-key.pem', 'audit-anchors.jsonl']) {
        if (existsSync(join(folder, 'data', name))) cpSync(join(folder, 'data', name), join(target, name), { recursive: true });
      }
      const copy = await ApiProcess.start({ ...settings, STUDENTLY_DATA_DIR: target });
      try {
        const there = new HttpClient(copy.url);
        await logIn(there, learner.email, learner.password);
        await expect(logIn(there, later.email, later.password)).rejects.toThrow();
      } finally {
        await copy.stop();
      }
      expect((await http.get('/health/ready')).status).toBe(200);
    } finally {
      await api.stop();
    }
    const again = await studently(settings, 'backup', 'restore', '--to', 'latest', '--target', target);
    expect(again).toMatchObject({ code: 26, err: expect.stringContaining('BACKUP_TARGET_NOT_EMPTY') });
  }, 240_000);

  it('TB-5 proves itself in a drill', async () => {
    const { code, out, err } = await studently(settings, '--json', 'backup', 'drill');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { checks } = JSON.parse(out) as { checks: { name: string; ok: boolean }[] };
    expect(checks.map(({ name, ok }) => [name, ok])).toEqual(
      ['marker', 'foreign keys', 'audit chain', 'application'].map((name) => [name, true]),
    );
  }, 120_000);

  it('SEC-8 is encrypted; a wrong key, a flipped bit, another folder and a full disk are told apart, and touch nothing', async () => {
    const backups = openBackups(loadSettings(settings));
    const [file] = files();
    expect(readFileSync(file!).includes('users')).toBe(false);
    const target = join(folder, 'not-made');
    expect(await faultOf({ BACKUP_KEY: '0'.repeat(64) }, LATEST, target)).toEqual(['BACKUP_KEY_WRONG', false]);
    expect(await faultOf({ BACKUP_DIR: join(folder, 'nowhere') }, LATEST, target)).toEqual(['BACKUP_NONE', false]);
    expect(await faultOf({}, { kind: 'time', at: new Date(0) }, target)).toEqual(['BACKUP_POINT_UNREACHABLE', false]);
    expect(await faultOf({}, { kind: 'name', name: 'nothing' }, target)).toEqual(['BACKUP_POINT_UNREACHABLE', false]);
    expect(await faultOf({}, LATEST, '/proc/nowhere')).toEqual(['BACKUP_DISK_FULL', false]);
    expect(await backups.check()).toEqual([]);
    const whole = readFileSync(file!);
    for (const length of [whole.length, whole.length - 1, 3000, 5, 0]) {
      writeFileSync(file!, whole.subarray(0, length));
      if (length === whole.length) flipBit(file!);
      expect([length, await backups.check()]).toEqual([length, [expect.stringMatching(/is damaged/)]]);
      const name = (await backups.list()).backups[0]?.label;
      expect(
        await faultOf({}, name ? LATEST : { kind: 'name', name: file!.replace(/.*\/(.*)\.backup/, '$1') }, target),
      ).toEqual(['BACKUP_DAMAGED', false]);
    }
    writeFileSync(file!, whole);
    expect(await backups.check()).toEqual([]);
  }, 120_000);

  it('keeps as many as it is to, removes what killed ones have left, and takes nothing but full backups', async () => {
    const left = join(folder, 'data/backup-copy-999999999-left');
    mkdirSync(left);
    const [before] = files();
    const made = await studently({ ...settings, BACKUP_KEEP: '1' }, '--json', 'backup', 'run');
    const { label } = JSON.parse(made.out) as { label: string };
    expect(files()).toEqual([join(folder, 'data/backups', `${label}.backup`)]);
    expect([existsSync(before!), existsSync(left)]).toEqual([false, false]);
    await expect(openBackups(loadSettings(settings)).run('diff')).rejects.toThrow('--type full');
  }, 120_000);

  it('MO-3 TB-1 backs itself up and proves it when it is told to, and says how old that is', async () => {
    const data = join(folder, 'scheduled');
    cpSync(process.env['TEST_EMBEDDED_TEMPLATE']!, data, { recursive: true });
    const api = await ApiProcess.start({ STUDENTLY_DATA_DIR: data, LOG_ACCESS: 'false', BACKUP_SCHEDULE: 'on' });
    try {
      await until(
        async () => /^studently_backup_proven_age_seconds \d/m.test(await (await fetch(`${api.url}/metrics`)).text()),
        100_000,
      );
      const metrics = await (await fetch(`${api.url}/metrics`)).text();
      for (const name of ['age_seconds', 'size_bytes', 'duration_seconds'])
        expect(metrics).toMatch(new RegExp(`^studently_backup_${name} \\d`, 'm'));
      expect(readdirSync(join(data, 'backups'))).toHaveLength(1);
      expect(readdirSync(join(data, 'drills'))).toHaveLength(2); // the report, signed and in words
    } finally {
      await api.stop();
    }
  }, 120_000);
});
