import { execFileSync } from 'node:child_process';
import { createSecretKey, randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupFault, loadSettings, openBackups, type Point } from '@studently/platform';
import { writeSealed } from '../../libs/platform/src/backup/sealed-file';
import { until } from '../e2e/support';
import { ApiProcess } from '../support/api-process';
import { flipBit } from '../support/backup-stage';
import { HttpClient, logIn, newLearner } from '../support/http';
import { studently, StudentlyProcess } from '../support/studently';

const LATEST: Point = { kind: 'latest' };

/** What this process brings to the disk from now on. */
async function watchSyncs(): Promise<string[]> {
  const handle = await open('/dev/null');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const synced: string[] = [];
  jest.spyOn(prototype, 'sync').mockImplementation(function (this: FileHandle) {
    synced.push(readlinkSync(`/proc/self/fd/${this.fd}`));
    return this.datasync();
  });
  return synced;
}

describe('backups of an embedded database', () => {
  let folder: string;
  let settings: NodeJS.ProcessEnv;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'studently-embedded-backup-'));
    const data = join(folder, 'data');
    cpSync(process.env['TEST_EMBEDDED_TEMPLATE']!, data, { recursive: true });
    settings = { STUDENTLY_DATA_DIR: data, LOG_ACCESS: 'false' };
  });
  afterEach(() => jest.restoreAllMocks());
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
      const [place, synced] = [join(folder, 'not/yet'), await watchSyncs()];
      await openBackups(loadSettings({ ...settings, BACKUP_DIR: place })).run('full');
      expect(synced).toEqual(expect.arrayContaining([place, dirname(place), folder])); // so the file is found again
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

  it('says 130 where it is interrupted while it reads', async () => {
    const [backups, ending] = [openBackups(loadSettings(settings)), { signal: AbortSignal.abort() }];
    await expect(backups.check(ending)).rejects.toMatchObject({ exitCode: 130 });
    await expect(backups.restore(LATEST, join(folder, 'not-made'), ending)).rejects.toMatchObject({ exitCode: 130 });
  });

  it('a restore that is killed leaves no data folder that could be taken for a whole one', async () => {
    const target = join(folder, 'killed');
    const args = ['backup', 'restore', '--to', 'latest', '--target', target];
    const restoring = new StudentlyProcess(settings, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    while (restoring.child.exitCode === null && !existsSync(join(target, 'postgres.unfinished'))) await sleep(1);
    restoring.child.kill('SIGKILL');
    expect((await restoring.ended).code).toBeNull();
    expect(existsSync(join(target, 'postgres'))).toBe(false);
  }, 90_000);

  it('says that it is done when all of it is on the disk, and not before', async () => {
    const [bin, target] = [join(folder, 'bin'), join(folder, 'not-synced')];
    mkdirSync(bin);
    writeFileSync(join(bin, 'sync'), `#!/bin/sh\nls "$2/global/pg_control" ${target} > ${bin}/seen\nexit 1\n`, { mode: 0o700 });
    const PATH = `${bin}:${process.env['PATH']}`;
    const { code, err } = await studently({ ...settings, PATH }, 'backup', 'restore', '--to', 'latest', '--target', target);
    expect({ code, err, left: existsSync(target) }).toEqual({ code: 1, err: expect.stringContaining('sync'), left: false });
    const seen = readFileSync(join(bin, 'seen'), 'utf8').split('\n');
    expect(seen.slice(0, -1)).toEqual([
      join(target, 'postgres.unfinished/global/pg_control'),
      '',
      `${target}:`,
      'postgres.unfinished',
    ]);
    const first = { STUDENTLY_DATA_DIR: join(folder, 'first'), PATH };
    expect((await studently(first, 'migrate', 'status')).code).not.toBe(0);
    expect(readdirSync(first.STUDENTLY_DATA_DIR)).toContain('postgres.unfinished');
    expect(readdirSync(first.STUDENTLY_DATA_DIR)).not.toContain('postgres');
  }, 120_000);

  it('does not let damaged ones push out the last that is whole', async () => {
    const place = join(folder, 'damaged');
    mkdirSync(place);
    const labels = ['20260101', '20260102', '20260103', '20260104'].map((day) => `${day}-000000-000F`);
    for (const label of labels) cpSync(files()[0]!, join(place, `${label}.backup`));
    for (const label of labels.slice(2)) flipBit(join(place, `${label}.backup`));
    const backups = openBackups(loadSettings({ ...settings, BACKUP_DIR: place, BACKUP_KEEP: '1' }));
    expect(await backups.expire(false)).toEqual(labels.slice(0, 1));
    expect(await backups.expire(false)).toEqual([]);
  });

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

  it('removes the oldest and never the newest, also after the clock was put back', async () => {
    const [there] = files();
    const ahead = join(folder, 'data/backups/20991231-235959-999F.backup');
    cpSync(there!, ahead);
    const left = join(folder, 'data/backups/unfinished-999999999-left');
    mkdirSync(left);
    const made = await studently({ ...settings, BACKUP_KEEP: '1' }, '--json', 'backup', 'run');
    const { label, startedAt } = JSON.parse(made.out) as { label: string; startedAt: string };
    expect(Math.abs(Date.parse(startedAt) - Date.now())).toBeLessThan(120_000);
    expect(files()).toEqual([join(folder, 'data/backups', `${label}.backup`)]);
    expect((await openBackups(loadSettings(settings)).list()).backups.map((each) => each.label)).toEqual([label]);
  }, 120_000);

  it('TB-5 proves a backup of the release before, which the next start would migrate', async () => {
    expect((await studently(settings, 'migrate', 'down', '--yes')).code).toBe(0);
    expect((await studently(settings, 'backup', 'run')).code).toBe(0);
    const { code, out } = await studently(settings, 'backup', 'drill');
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('the backup is proven') });
    expect((await studently(settings, 'migrate', 'status')).code).toBe(2); // the copy alone was migrated
    expect((await studently(settings, 'migrate', 'up')).code).toBe(0);
  }, 120_000);

  it('a copy that is of no use is told by a signed report', async () => {
    const [place, empty, key] = [join(folder, 'useless'), join(folder, 'empty'), randomBytes(32)];
    for (const each of [place, empty]) mkdirSync(each);
    const at = new Date().toISOString();
    const marker = { at, xid: '1', lsn: '0/0', auditHead: null, tables: { users: { rows: 1, checksum: '1' } } };
    const header = { label: '20261129-000000-000F', type: 'full', startedAt: at, endedAt: at, size: 1, needs: [], marker };
    const body = execFileSync('tar', ['-C', empty, '-czf', '-', '.']);
    await writeSealed(join(place, `${header.label}.backup`), createSecretKey(key), header, Readable.from([body]));
    const useless = { ...settings, BACKUP_DIR: place, BACKUP_KEY: key.toString('hex') };
    const { code, out, err } = await studently(useless, '--json', 'backup', 'drill');
    expect({ code, err }).toEqual({ code: 2, err: '' });
    const { ok, checks, file } = JSON.parse(out) as { ok: boolean; checks: object[]; file: string };
    expect([ok, existsSync(file)]).toEqual([false, true]);
    expect(checks).toContainEqual(
      expect.objectContaining({ name: 'marker', ok: false, detail: expect.stringMatching(/^cannot be compared: /) }),
    );
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
