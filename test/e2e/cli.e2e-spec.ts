import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProcess, waysToRun } from '../support/api-process';
import { createTestDatabase, sql } from '../support/database';
import { HttpClient, newLearner } from '../support/http';
import { studently, StudentlyProcess } from '../support/studently';

describe('studently', () => {
  it('shows help, and says 64 for what it does not know', async () => {
    expect(await studently({}, '--help')).toMatchObject({ code: 0, err: '', out: expect.stringContaining('\n  migrate ') });
    for (const wrong of [['nonsense'], ['migrate', 'dwn'], ['migrate', 'down'], ['status', '--what']]) {
      const answer = await studently({}, ...wrong);
      expect([wrong, answer.code, answer.err.includes('--help')]).toEqual([wrong, 64, true]);
    }
  });

  it('ends without a word where nobody reads on', async () => {
    const help = new StudentlyProcess({}, ['--help']);
    help.child.stdout!.destroy(); // as by `| head`
    expect(await help.ended).toEqual({ code: 141, out: '', err: '' });
  });

  it('names the faults of the configuration, with 78', async () => {
    const answer = await studently({ DATABASE_URL: 'mysql://somewhere' }, 'status');
    expect(answer).toMatchObject({ code: 78, err: expect.stringContaining('CONFIG_INVALID') });
  });

  it('TB-1 TB-2 reaches a running embedded instance through its socket, and misses its backups until there is a proven one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-cli-'));
    const settings = { STUDENTLY_DATA_DIR: folder, LOG_ACCESS: 'false' };
    const api = await ApiProcess.start(settings);
    try {
      await newLearner(new HttpClient(api.url)); // two commands: registration and login
      const status = await studently(settings, '--json', 'status');
      expect(status).toMatchObject({ code: 0, err: '' });
      expect(JSON.parse(status.out)).toMatchObject({ migration: expect.stringMatching(/^\d{4}_/), auditEvents: 2 });
      expect((await studently(settings, 'migrate', 'status')).code).toBe(0);
      const unsaved = await studently(settings, 'doctor');
      expect(unsaved).toMatchObject({ code: 2, err: '' });
      expect(unsaved.out).toMatch(
        /^critical {2}backups {2,}There is no backup: .*\n {10,}→ \$ npx studently backup run --type full/,
      );
      expect((await studently(settings, 'backup', 'run', '--type', 'full')).code).toBe(0);
      expect((await studently(settings, 'doctor')).out).toMatch(/^warning {3}backups {2,}No backup has ever been proven/);
      expect((await studently(settings, 'backup', 'drill')).code).toBe(0);
      expect(await studently(settings, 'doctor', '--deep')).toMatchObject({
        code: 0,
        err: '',
        out: expect.stringMatching(/^Not examined, as it says nothing of an embedded database: .*\n\d+ checks, no findings\n$/),
      });
      expect((await new HttpClient(api.url).get('/health/ready')).body.status).toBe('ok');
    } finally {
      await api.stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);

  if (waysToRun.some(({ name }) => name === 'served')) {
    it('SEC-12 names the row of the audit log that a superuser changed, with 2', async () => {
      const [database, folder] = [await createTestDatabase(), mkdtempSync(join(tmpdir(), 'studently-cli-'))];
      const settings = { DATABASE_URL: database.url, STUDENTLY_DATA_DIR: folder };
      const api = await ApiProcess.start({ ...settings, LOG_ACCESS: 'false' }); // alone, so that it seals
      const verified = async (...args: string[]) => {
        const { code, out, err } = await studently(settings, '--json', 'audit', 'verify', ...args);
        expect(err).toBe('');
        return { code, answer: JSON.parse(out) as { events: number; findings: { kind: string; id: string }[] } };
      };
      try {
        const key = await studently(settings, 'audit', 'public-key');
        expect(key).toMatchObject({ code: 0, out: expect.stringContaining('BEGIN PUBLIC KEY') });
        const keyFile = join(folder, 'public.pem');
        writeFileSync(keyFile, key.out);
        expect(await verified()).toMatchObject({ code: 0, answer: { events: 0, findings: [] } }); // no anchor yet
        await newLearner(new HttpClient(api.url));
        for (const end = Date.now() + 10_000; ; await sleep(200)) {
          if ((await verified()).answer.events >= 2) break; // registration and login, sealed within 10 s
          expect(Date.now()).toBeLessThan(end);
        }
        expect(await (await fetch(`${api.url}/metrics`)).text()).toMatch(/^studently_audit_unsealed_seconds \d/m);
        expect(await verified('--public-key', keyFile)).toMatchObject({ code: 0, answer: { findings: [] } });
        await sql(database.adminUrl, `update audit_events set actor_role = 'ADMIN' where id = 1`);
        expect(await verified()).toMatchObject({ code: 2, answer: { findings: [{ kind: 'edited', id: '1' }] } });
        expect((await studently(settings, 'audit', 'verify')).out).toContain('edited: event 1, batch 1');
        for (const wrong of [
          ['--from', 'yesterday'],
          ['--anchors', join(folder, 'none.jsonl')],
        ]) {
          expect((await studently(settings, 'audit', 'verify', ...wrong)).code).toBe(64);
        }
      } finally {
        await api.stop('SIGKILL');
        await database.drop();
        rmSync(folder, { recursive: true, force: true });
      }
    }, 60_000);

    it('TM-1 brings a served database to this release and back', async () => {
      const database = await createTestDatabase({ empty: true });
      const settings = { DATABASE_URL: database.url, DATABASE_MIGRATION_URL: database.adminUrl };
      const migrate = async (...args: string[]) => {
        const answer = await studently(settings, '--json', 'migrate', ...args);
        return { code: answer.code, answer: JSON.parse(answer.out) as Record<string, any> };
      };
      try {
        for (const command of [
          ['migrate', 'up'],
          ['keys', 'status'],
        ]) {
          const refused = await studently({ DATABASE_URL: database.url }, ...command);
          expect(refused).toMatchObject({ code: 78, err: expect.stringMatching(/DB_OWNER_REFUSED.*studently_migrator/) });
        }
        const before = await migrate('status');
        expect(before).toMatchObject({ code: 2, answer: { executed: [] } });
        const all = before.answer['pending'];
        expect(await migrate('up')).toEqual({ code: 0, answer: { applied: all } });
        expect(await migrate('up')).toEqual({ code: 0, answer: { applied: [] } });
        expect(await migrate('status')).toEqual({
          code: 0,
          answer: { executed: all, pending: [], backfill: [], contract: [] },
        });
        expect(await migrate('backfill')).toEqual({ code: 0, answer: { changed: {} } });
        expect(await migrate('contract', '--yes')).toEqual({ code: 0, answer: { contracted: [] } });
        expect(await migrate('plan')).toEqual({ code: 0, answer: { migrations: [], findings: [], squawk: true } });
        const way = ['--to', all!.at(-2)];
        expect(await migrate('down', ...way, '--dry-run')).toEqual({
          code: 0,
          answer: { reverted: [all!.at(-1)], dryRun: true },
        });
        expect(await migrate('down', ...way, '--yes')).toEqual({ code: 0, answer: { reverted: [all!.at(-1)] } });
        const { code, answer: plan } = await migrate('plan');
        expect([code, plan]).toMatchObject([0, { migrations: [{ name: all!.at(-1) }] }]);
        const findings = plan['findings'] as { onPurpose?: string }[];
        expect(findings.filter(({ onPurpose }) => onPurpose === undefined)).toEqual([]);
        expect(await migrate('up')).toEqual({ code: 0, answer: { applied: [all!.at(-1)] } });
        expect(await migrate('down', '--all', '--yes')).toEqual({ code: 0, answer: { reverted: [...all!].reverse() } });
      } finally {
        await database.drop();
      }
    }, 60_000);
  }
});
