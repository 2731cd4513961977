import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiProcess, waysToRun } from '../support/api-process';
import { createTestDatabase } from '../support/database';
import { HttpClient, newLearner } from '../support/http';

const CLI = join(__dirname, '../../dist/apps/cli/src/main.js');

/** The built `studently` command. */
async function studently(
  settings: NodeJS.ProcessEnv,
  ...args: string[]
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [CLI, ...args], { env: { PATH: process.env['PATH'], ...settings } });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

describe('studently', () => {
  it('has help with an example for every command, and says 64 for what it does not know', async () => {
    for (const command of [['migrate', 'up'], ['migrate', 'down'], ['migrate', 'status'], ['status']]) {
      const help = await studently({}, ...command, '--help');
      expect([command, help.code, help.out.includes('Example:')]).toEqual([command, 0, true]);
    }
    for (const wrong of [['nonsense'], ['migrate', 'dwn'], ['migrate', 'down'], ['status', '--what']]) {
      const answer = await studently({}, ...wrong);
      expect([wrong, answer.code, answer.err.includes('--help')]).toEqual([wrong, 64, true]);
    }
  });

  it('names the faults of the configuration, with 78', async () => {
    const answer = await studently({ DATABASE_URL: 'mysql://somewhere' }, 'status');
    expect(answer).toMatchObject({ code: 78, err: expect.stringContaining('CONFIG_INVALID') });
  });

  it('reaches a running embedded instance through its socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-cli-'));
    const settings = { STUDENTLY_DATA_DIR: folder, LOG_ACCESS: 'false' };
    const api = await ApiProcess.start(settings);
    try {
      await newLearner(new HttpClient(api.url)); // two commands: registration and login
      const status = await studently(settings, '--json', 'status');
      expect(status).toMatchObject({ code: 0, err: '' });
      expect(JSON.parse(status.out)).toMatchObject({ migration: '0004_chats', auditEvents: 2 });
      expect((await studently(settings, 'migrate', 'status')).code).toBe(0);
      expect((await new HttpClient(api.url).get('/health/ready')).body.status).toBe('ok');
    } finally {
      await api.stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);

  if (waysToRun.some(({ name }) => name === 'served')) {
    it('TM-1 brings a served database to this release and back', async () => {
      const database = await createTestDatabase({ empty: true });
      const settings = { DATABASE_URL: database.url, DATABASE_MIGRATION_URL: database.adminUrl };
      const migrate = async (...args: string[]) => {
        const answer = await studently(settings, '--json', 'migrate', ...args);
        return { code: answer.code, answer: JSON.parse(answer.out) as Record<string, string[]> };
      };
      try {
        const before = await migrate('status');
        expect(before).toMatchObject({ code: 2, answer: { executed: [] } });
        const all = before.answer['pending'];
        expect(await migrate('up')).toEqual({ code: 0, answer: { applied: all } });
        expect(await migrate('up')).toEqual({ code: 0, answer: { applied: [] } });
        expect(await migrate('status')).toEqual({ code: 0, answer: { executed: all, pending: [] } });
        expect(await migrate('down', '--all', '--yes')).toEqual({ code: 0, answer: { reverted: [...all!].reverse() } });
      } finally {
        await database.drop();
      }
    }, 60_000);
  }
});
