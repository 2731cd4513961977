import { createPublicKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { drillBackups, lastProven, loadSettings, openBackups, readReport, type DrillReport } from '@studently/platform';
import { MARKER, PgBackRest } from '../../libs/platform/src/backup/pgbackrest';
import { packMarker } from '../../libs/platform/src/backup/marker';
import { ApiProcess } from '../support/api-process';
import { startBackupStage, type BackupStage } from '../support/backup-stage';
import { sql } from '../support/database';
import { startRedis } from '../support/servers';
import { studently } from '../support/studently';
import { until } from '../e2e/support';

const failed = ({ checks }: DrillReport) => checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`);

describe('the drill', () => {
  let stage: BackupStage;
  beforeAll(async () => {
    stage = await startBackupStage();
    await sql(
      stage.adminUrl,
      'create table parents (id int primary key); create table children (parent_id int references parents)',
    );
  }, 240_000);
  afterAll(() => stage?.remove());

  it('TB-1 MO-3 a worker makes the backup that is due, proves it, and says how old that is', async () => {
    const before = await stage.backup('drill');
    expect(before).toMatchObject({ code: 27, err: expect.stringContaining('BACKUP_NONE') });
    const redis = await startRedis();
    const worker = await ApiProcess.start({ ...stage.settings, REDIS_URL: redis.url, BACKUP_SCHEDULE: 'on' }, 'worker');
    const metrics = async () => (await fetch(`${worker.url}/metrics`)).text();
    try {
      await until(async () => /^studently_backup_proven_age_seconds \d/m.test(await metrics()), 100_000);
      for (const name of ['age_seconds', 'size_bytes', 'duration_seconds'])
        expect(await metrics()).toMatch(new RegExp(`^studently_backup_${name} \\d`, 'm'));
      const { backups } = JSON.parse((await stage.backup('--json', 'list')).out) as { backups: { type: string }[] };
      expect(backups.map(({ type }) => type)).toEqual(['full']);
    } finally {
      await worker.stop();
      await redis.stop();
    }
  }, 240_000);

  it('TB-5 MO-3 proves a backup from the command line, signs what it says, and leaves nothing behind', async () => {
    const settings = loadSettings(stage.settings);
    await openBackups(settings).run('full');
    await sql(stage.adminUrl, 'insert into parents values (1); insert into children values (1)');
    await stage.archived();
    const { code, out, err } = await stage.backup('--json', 'drill');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { file, ...report } = JSON.parse(out) as DrillReport & { file: string };
    expect(report).toMatchObject({ ok: true, rpoSeconds: expect.any(Number), rtoSeconds: expect.any(Number) });
    expect(report.checks.map(({ name }) => name)).toEqual(['marker', 'foreign keys', 'amcheck', 'audit chain', 'application']);
    expect(readdirSync(tmpdir()).filter((name) => /^studently-(drill|run)-/.test(name))).toEqual([]);

    const key = createPublicKey((await studently(stage.settings, 'audit', 'public-key')).out);
    expect(readReport(file, key)).toEqual(report);
    expect(readFileSync(file.replace(/json$/, 'txt'), 'utf8')).toContain('the backup is proven');
    expect(lastProven(settings)?.startedAt).toBe(report.startedAt);
    expect((await stage.backup('list')).out).toContain(`Proven last at ${report.endedAt}`);
    const other = loadSettings({ ...stage.settings, AUDIT_SIGNING_KEY_FILE: '', STUDENTLY_DATA_DIR: stage.newFolder('other') });
    expect(lastProven(other)).toBeUndefined();
  }, 240_000);

  it('TB-5 names each thing that is not as it must be, and does not count as proof', async () => {
    const settings = loadSettings(stage.settings);
    const { startedAt } = lastProven(settings)!;
    const sqlOf = [
      'alter table children disable trigger all; insert into children values (77); alter table children enable trigger all',
      'create table odd (n int); insert into odd values (1), (2)',
      'create function upside(n int) returns int immutable language sql return n; create index odd_n on odd (upside(n))',
      'create or replace function upside(n int) returns int immutable language sql return -n',
      'alter table chats no force row level security; create policy everybody on chats for select to studently_app using (true)',
      `insert into users (id, email, role, password_hash) select gen_random_uuid(), n || '@example.org', 'STUDENT', '$argon2id$v=19$m=19456,t=2,p=1$' || repeat('A', 60) from generate_series(1, 2) n`,
      `insert into chats (user_id, id, title) select id, gen_random_uuid(), 'a chat' from users`,
    ];
    for (const each of sqlOf) await sql(stage.adminUrl, each);
    const made = await openBackups(settings).run('incr');
    const marker = { ...made.marker!, tables: { ...made.marker!.tables, users: { rows: 3, checksum: '0' } } };
    await new PgBackRest(settings).annotate(made.label, MARKER, packMarker(marker));
    const { report } = await drillBackups(settings);
    expect(failed(report)).toEqual([
      'marker: users: 2 rows instead of 3',
      'foreign keys: children.children_parent_id_fkey: 1 rows without what they refer to',
      expect.stringMatching(/^amcheck: odd_n: /),
      expect.stringMatching(/^application: a learner sees 1 rows of others; nobody sees 2 rows/),
    ]);
    expect(report.ok).toBe(false);
    expect(lastProven(settings)!.startedAt).toBe(startedAt);
  }, 240_000);
});
