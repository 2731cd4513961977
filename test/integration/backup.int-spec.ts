import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupFault, loadSettings, openBackups, type Backups, type Point } from '@studently/platform';
import { PgBackRest } from '../../libs/platform/src/backup/pgbackrest';
import { ScratchServer } from '../../libs/platform/src/backup/scratch-server';
import { filesIn, flipBit, startBackupStage, type BackupStage } from '../support/backup-stage';
import { sql } from '../support/database';
import { withClient } from '../support/servers';
import { studently } from '../support/studently';

const LATEST: Point = { kind: 'latest' };

describe('backups of a served database', () => {
  let stage: BackupStage;
  let backups: Backups;
  let folders = 0;

  const run = <Row extends object>(text: string) => sql<Row>(stage.adminUrl, text);
  const withSettings = (changes: Record<string, string>) => openBackups(loadSettings(stage.configured(changes)));
  const newTarget = () => stage.newFolder(`restored-${folders++}`);

  beforeAll(async () => {
    stage = await startBackupStage();
    backups = openBackups(loadSettings(stage.settings));
    await run('create table rows_to_lose (n int); insert into rows_to_lose select generate_series(1, 1000)');
  }, 240_000);
  afterAll(() => stage?.remove());

  /** A copy of the repository in which something is broken. */
  async function broken(breakIt: (repository: string) => void): Promise<Backups> {
    await stage.archived();
    const copy = stage.newFolder(`broken-${folders++}`);
    execFileSync('cp', ['-a', stage.repository, copy]);
    breakIt(copy);
    // What is archived goes elsewhere: waiting for it is in vain.
    return withSettings({ 'repo1-path': copy, 'archive-timeout': '1' });
  }

  /** The code of the fault, and what the target is afterwards. */
  async function faultOf(from: Backups, point: Point, target = newTarget()) {
    const fault = await from.restore(point, target).catch((error: unknown) => error as BackupFault);
    if (!(fault instanceof BackupFault)) throw new Error(`no fault: ${JSON.stringify(fault)}`);
    return {
      code: fault.code,
      exit: fault.exitCode,
      message: fault.message,
      left: existsSync(target) ? readdirSync(target) : 'not there',
    };
  }

  /** What a query answers on a restored copy. */
  async function onCopy<Row extends object>(target: string, text: string): Promise<Row[]> {
    const server = await ScratchServer.on(target, '/usr/lib/postgresql/15/bin');
    try {
      expect(await server.start()).toBe('ended');
      return await sql<Row>(server.target('studently').url, text);
    } finally {
      await server.remove();
    }
  }

  it('says 27 while there is no backup, and what a first run would do', async () => {
    expect(await backups.list()).toMatchObject({ backups: [], archive: undefined });
    expect(await backups.plan('diff')).toMatch(/^Make the stanza in the repository, then a full backup/);
    expect(await faultOf(backups, LATEST)).toMatchObject({ code: 'BACKUP_NONE', exit: 27, left: 'not there' });
    await expect(backups.check()).rejects.toMatchObject({ code: 'BACKUP_NONE' });
  });

  it('TB-1 DM-5 SEC-8 makes full and differential backups while others write, with markers that count every row, encrypted', async () => {
    const canary = 'CANARY5fd21c0e9b';
    await run(`create table canaries as select '${canary}' || g as canary from generate_series(1, 1000) g; checkpoint`);
    let writing = true;
    const load = withClient(stage.adminUrl, async (client) => {
      for (let n = 0; writing; n++)
        await client.query(`insert into outbox (topic, payload) values ('test.topic', jsonb_build_object('n', ${n}))`);
    });
    const full = await backups.run('incr'); // without a full one there is nothing to build on
    const diff = await backups.run('diff').finally(() => (writing = false));
    await load;
    expect([full.type, diff.type, diff.needs]).toEqual(['full', 'diff', [full.label]]);
    expect(diff.stored).toBeLessThan(full.stored / 2);
    const { backups: listed, archive } = await backups.list();
    expect(listed.map(({ label, marker }) => [label, marker?.xid])).toEqual(
      [full, diff].map(({ label, marker }) => [label, marker!.xid]),
    );
    expect(archive!.last > archive!.first).toBe(true);
    expect(listed[0]!.marker!.tables['outbox']!.rows).toBeGreaterThan(0);
    expect(listed[0]!.marker!.tables['outbox']!.rows).toBeLessThan(listed[1]!.marker!.tables['outbox']!.rows);

    // Nobody writes any more: a marker of the owner's sees what the superuser sees.
    const { marker } = await backups.run('incr');
    const tables = await run<{ name: string; rows: number }>(`
      select c.oid::regclass::text as name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from only %s', c.oid::regclass), false, true, '')))[1]::text::int as rows
      from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relowner = 'studently_owner'::regrole`);
    expect(tables.length).toBeGreaterThan(20);
    for (const { name, rows } of tables) expect([name, marker!.tables[name]?.rows]).toEqual([name, rows]);

    const files = filesIn(stage.repository);
    expect(files.length).toBeGreaterThan(1000);
    for (const file of files) expect([file, readFileSync(file).subarray(0, 8).toString()]).toEqual([file, 'Salted__']);
    expect(files.filter((file) => readFileSync(file).includes(canary))).toEqual([]);
    expect(await backups.check()).toEqual([]);
    expect(await backups.expire(true)).toEqual([]);

    // The default is the same where only the login of migrations is there.
    const { out } = await studently({ ...stage.settings, DATABASE_URL: '' }, 'backup', 'run', '--dry-run');
    expect(out).toMatch(/^a backup of what has changed since \S+ \(incr\)/);
  }, 240_000);

  it('TB-2 TB-3 restores to a moment, a restore point, a backup, and to the end, each exactly', async () => {
    await run('delete from rows_to_lose where n > 900');
    await sleep(20);
    const before = new Date();
    await sleep(20);
    await run(`select pg_create_restore_point('before_the_accident')`);
    await run('drop table rows_to_lose');
    await run('create table after_the_accident (n int)');
    await stage.archived();
    const count = 'select count(*)::int as rows, max(n) as last from rows_to_lose';
    const byTime = newTarget();
    const restored = await backups.restore({ kind: 'time', at: before }, byTime);
    expect(new Date(restored.lastTransaction!).getTime()).toBeLessThanOrEqual(before.getTime());
    expect(await onCopy(byTime, count)).toEqual([{ rows: 900, last: 900 }]);
    const byName = newTarget();
    mkdirSync(byName); // an empty folder will do
    await backups.restore({ kind: 'name', name: 'before_the_accident' }, byName);
    expect(await onCopy(byName, count)).toEqual([{ rows: 900, last: 900 }]);
    const byLabel = newTarget();
    await backups.restore({ kind: 'name', name: (await backups.list()).backups[1]!.label }, byLabel);
    expect(await onCopy(byLabel, count)).toEqual([{ rows: 1000, last: 1000 }]);
    const all = newTarget();
    await backups.restore(LATEST, all);
    expect(
      await onCopy(
        all,
        `select to_regclass('after_the_accident') is not null as there, current_setting('archive_mode') as archives`,
      ),
    ).toEqual([{ there: true, archives: 'off' }]);
  }, 240_000);

  it('TB-3 says 20 for a point that cannot be reached, and leaves nothing behind', async () => {
    const unreachable = { code: 'BACKUP_POINT_UNREACHABLE', exit: 20, left: 'not there' };
    const { backups: listed } = await backups.list();
    for (const [point, word] of [
      [{ kind: 'time', at: new Date(Date.now() + 60_000) }, /not come yet/],
      [{ kind: 'time', at: new Date(Date.parse(listed[0]!.endedAt) - 1000) }, /oldest backup ended at/],
      [{ kind: 'time', at: new Date() }, /last transaction is of 20/], // nothing was committed since
    ] as [Point, RegExp][]) {
      expect(await faultOf(backups, point)).toEqual({ ...unreachable, message: expect.stringMatching(word) });
    }
  }, 120_000);

  it('says 26 for a target that holds anything, and does not touch it', async () => {
    const target = newTarget();
    mkdirSync(target);
    writeFileSync(join(target, 'precious'), 'mine');
    expect(await faultOf(backups, LATEST, target)).toMatchObject({
      code: 'BACKUP_TARGET_NOT_EMPTY',
      exit: 26,
      left: ['precious'],
    });
    expect(await faultOf(backups, LATEST, join(target, 'precious')).catch(() => 'left as it was')).toBe('left as it was');
    expect(readFileSync(join(target, 'precious'), 'utf8')).toBe('mine');
  });

  it('SEC-8 says 21 for a wrong passphrase, in words without a byte of the repository', async () => {
    const wrong = withSettings({ 'repo1-cipher-pass': 'another one, which does not fit' });
    const attempts = [
      () => wrong.list(),
      () => wrong.check(),
      () => wrong.run('full'),
      () => wrong.restore(LATEST, newTarget()),
    ];
    for (const attempt of attempts) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'BACKUP_KEY_WRONG',
        exitCode: 21,
        message: expect.stringMatching(/^[\x20-\x7e]+$/),
      });
    }
  });

  it('says 25 for a disk without room: before, or when it is used up', async () => {
    expect(await faultOf(backups, LATEST, '/proc/nowhere')).toMatchObject({
      code: 'BACKUP_DISK_FULL',
      exit: 25,
      left: 'not there',
    });
    const target = newTarget();
    mkdirSync(target);
    const { size } = (await backups.list()).backups.at(-1)!;
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size + 4_000_000}`, 'tmpfs', target], { stdio: 'pipe' });
    } catch {
      return; // only root may
    }
    try {
      expect(await faultOf(backups, LATEST, target)).toMatchObject({ code: 'BACKUP_DISK_FULL', left: [] });
    } finally {
      execFileSync('umount', [target]);
    }
  }, 120_000);

  it('TB-5 tells a missing and a damaged WAL segment, 22 and 23, from the end of the archive; the check finds both', async () => {
    for (let n = 0; n < 3; n++) {
      await run(`insert into after_the_accident values (${n})`);
      await stage.archived();
    }
    const laterSegment = (repository: string) =>
      filesIn(join(repository, 'archive'))
        .filter((file) => /\/[0-9A-F]{24}-/.test(file))
        .sort()
        .at(-2)!;
    const missing = await broken((repository) => rmSync(laterSegment(repository)));
    expect(await faultOf(missing, LATEST)).toMatchObject({ code: 'BACKUP_WAL_MISSING', exit: 22, left: 'not there' });
    expect(await findings(missing)).toEqual([expect.stringMatching(/^the WAL archive: 1 segment after [0-9A-F]{24} is gone$/)]);
    const damaged = await broken((repository) => flipBit(laterSegment(repository)));
    expect(await faultOf(damaged, LATEST)).toMatchObject({ code: 'BACKUP_WAL_DAMAGED', exit: 23, left: 'not there' });
    expect(await findings(damaged)).toEqual([expect.stringMatching(/^the WAL archive: 1 files /)]);
    const [first] = (await backups.list()).backups.map(({ firstSegment }) => firstSegment!);
    const beginless = await broken((repository) =>
      rmSync(filesIn(join(repository, 'archive')).find((file) => file.includes(`/${first}-`))!),
    );
    expect(await findings(beginless)).toEqual([`the WAL archive: ${first} is gone, with which a backup begins`]);
  }, 240_000);

  it('TB-5 says 24 for a bit that was flipped in a backup; the check finds it in each backup that needs the file', async () => {
    const catalog = (repository: string) =>
      filesIn(join(repository, 'backup')).find((file) => /F\/pg_data\/base\/\d+\/1255\.zst$/.test(file))!;
    const flipped = await broken((repository) => flipBit(catalog(repository)));
    expect(await findings(flipped)).toEqual(Array<unknown>(3).fill(expect.stringMatching(/^backup \S+: 1 files /)));
    expect(await faultOf(flipped, LATEST)).toMatchObject({ code: 'BACKUP_DAMAGED', exit: 24, left: 'not there' });
  }, 240_000);

  it('gives its marker to its own backup, whoever makes another before the marker is there', async () => {
    await withClient(stage.adminUrl, async (writer) => {
      await writer.query(`begin; insert into outbox (topic, payload) values ('test.topic', '{}')`); // no moment can be held still
      const atMarker = Promise.withResolvers<void>();
      const steps = (what: string) => what === 'recording the marker' && atMarker.resolve();
      const first = backups.run('incr', { steps });
      await Promise.race([atMarker.promise, first]);
      await new PgBackRest(loadSettings(stage.settings)).backup('incr', {});
      await writer.query('commit');
      const { label } = await first;
      const marked = (await backups.list()).backups.slice(-2).map((each) => [each.label, each.marker !== undefined]);
      expect(marked).toEqual([
        [label, true],
        [expect.any(String), false],
      ]);
    });
  }, 120_000);

  it('waits with its marker while another backup is being made', async () => {
    await withClient(stage.adminUrl, async (writer) => {
      await writer.query(`begin; insert into outbox (topic, payload) values ('test.topic', '{}')`);
      const [atMarker, underWay] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const first = backups.run('incr', { steps: (what) => what === 'recording the marker' && atMarker.resolve() });
      await Promise.race([atMarker.promise, first]);
      const tool = new PgBackRest(loadSettings(stage.settings));
      const second = tool.backup('full', { steps: () => underWay.resolve() });
      await Promise.race([underWay.promise, second]);
      await writer.query('commit');
      const { label, marker } = await first;
      await second;
      expect((await backups.list()).backups.find((each) => each.label === label)?.marker).toEqual(marker);
    });
  }, 120_000);

  it('says 28 while another backup runs', async () => {
    const [first, second] = await Promise.allSettled([backups.run('full'), sleep(300).then(() => backups.run('full'))]);
    expect([first, second].filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const rejected = [first, second].find((each) => each.status === 'rejected')!;
    expect(rejected.reason).toMatchObject({ code: 'BACKUP_BUSY', exitCode: 28 });
  }, 120_000);

  it('ends in order when it is interrupted, and can be run again', async () => {
    const target = newTarget();
    const ending = new AbortController();
    const steps = () => ending.abort();
    await expect(backups.restore(LATEST, target, { signal: ending.signal, steps })).rejects.toMatchObject({ exitCode: 130 });
    expect(existsSync(target)).toBe(false);
    expect((await backups.restore(LATEST, target)).target).toBe(target);
  }, 120_000);

  it('removes what is older than is to be kept', async () => {
    await backups.run('full');
    const { backups: kept } = await backups.list();
    expect(kept.filter(({ type }) => type === 'full')).toHaveLength(2);
    const keepOne = openBackups(loadSettings({ ...stage.settings, BACKUP_KEEP: '1' }));
    expect(await keepOne.expire(true)).toEqual([kept[0]!.label]);
    expect(await keepOne.expire(false)).toEqual([kept[0]!.label]);
    expect((await backups.list()).backups.map(({ label }) => label)).toEqual(kept.slice(1).map(({ label }) => label));
  }, 120_000);

  /** Nothing is pushed to the broken copy: that archiving does not work with it is no finding here. */
  const findings = async (of: Backups) =>
    (await of.check()).filter((finding) => !finding.startsWith('archiving does not work'));
});
