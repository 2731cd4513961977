import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ApiProcess } from '../support/api-process';
import { withClient } from '../support/servers';
import { databaseUrlOf, until } from './support';

const MAIN = join(__dirname, '../../dist/api.js');

describe('the sample of a first embedded start', () => {
  let folder: string;
  let running: ApiProcess | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'studently sample ')); // with blanks, as people have them
  });
  afterEach(async () => {
    await running?.stop('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const settings = (): NodeJS.ProcessEnv => ({
    STUDENTLY_DATA_DIR: join(folder, 'data'),
    STUDENTLY_SAMPLE: undefined, // on by default
    LOG_ACCESS: 'false',
  });
  const start = async (more: NodeJS.ProcessEnv = {}) => (running = await ApiProcess.start({ ...settings(), ...more }));
  const sample = (name = '') => join(folder, 'data', 'sample', name);
  const password = (name: string) => (JSON.parse(readFileSync(sample(name), 'utf8')) as { password: string }).password;

  /** What is in the database, as numbers. */
  const counts = () =>
    withClient(databaseUrlOf(settings()), async (client) => {
      const { rows } = await client.query<Record<string, number>>(
        `select (select count(*) from users)::int as users, (select count(*) from chats)::int as chats,
                (select count(*) from documents)::int as documents,
                (select count(*) from study_items where 'wordnet' = any(tags))::int as wordnet,
                (select count(*) from study_items where 'countries' = any(tags))::int as countries,
                (select count(distinct item_id) from study_reviews)::int as reviewed,
                (select count(*) from study_items where 'simulated-reviews' = any(tags))::int as labelled`,
      );
      return rows[0]!;
    });
  const complete = { users: 3, chats: 2, wordnet: 1040, countries: 1674, documents: expect.any(Number) };

  /** The lines that the start has printed, pasted into a shell; what the last one answers. */
  const paste = async ({ log }: ApiProcess, lines: number) => {
    const printed = log.split('To try it, paste:\n')[1]!.split('\n').slice(0, lines);
    return (await promisify(execFile)('bash', ['-c', printed.join('\n')], { maxBuffer: 10_000_000 })).stdout;
  };

  it('PF-5 greets a newcomer: passwords shown once, lines that work, cards that are due, guides that are found', async () => {
    const api = await start();
    for (const place of ['/v1', '/docs', '/health/ready', '/metrics']) expect(api.log).toContain(`${api.url}${place}\n`);
    expect(statSync(sample()).mode & 0o777).toBe(0o700);
    const names = readdirSync(sample()).filter((name) => name.endsWith('.json'));
    expect(names).toHaveLength(3);
    for (const name of names) {
      expect(statSync(sample(name)).mode & 0o777).toBe(0o600);
      expect(password(name).length).toBeGreaterThanOrEqual(20);
      expect(api.log).toContain(password(name));
    }
    const due = JSON.parse(await paste(api, 2)) as { items: { type: string; tags: string[] }[] };
    expect(due.items).toHaveLength(3);
    for (const { tags } of due.items) expect(tags).toContain('wordnet');

    await until(async () => existsSync(sample('complete')));
    const made = await counts();
    expect(made).toMatchObject(complete);
    expect(made['documents']).toBeGreaterThan(30);
    expect(made['reviewed']).toBe(made['labelled']);
    expect(made['labelled']).toBeGreaterThan(1000);
    expect(made['labelled']).toBeLessThan(made['wordnet']! + made['countries']!);

    await until(() => Promise.resolve(/Embedding documents \d+\/\d+/.test(api.log)), 30_000);
    // The guide that the printed question is about is embedded first. The model goes last: who asks all the time keeps it waiting.
    await until(async () => {
      await sleep(1000);
      return (await paste(api, 3)).includes('"Validation and Serialization"');
    }, 240_000);
    expect(api.log).not.toMatch(/"level":[56]0/);
    expect(api.log).not.toContain('ExperimentalWarning');

    expect(await api.stop()).toBe(0);
    const next = await start();
    for (const name of names) expect(next.log).not.toContain(password(name));
    expect((JSON.parse(await paste(next, 2)) as { items: unknown[] }).items).toHaveLength(3);
    expect(await counts()).toEqual(made);
  }, 400_000);

  it('is whole after kills in the middle of the first start, and nothing is there twice', async () => {
    for (const milestone of ['sample', 'wordnet', 'countries'] as const) {
      const env = { PATH: process.env['PATH'], PORT: '0', ...settings() };
      const child = spawn(process.execPath, [MAIN], { env, stdio: 'ignore' });
      const gone = new Promise((resolve) => child.once('exit', resolve));
      await until(async () => {
        if (milestone === 'sample') return existsSync(sample());
        const made = await counts().catch(() => undefined); // it is only starting
        return made && made[milestone]! > 0;
      }, 60_000);
      child.kill('SIGKILL');
      await gone;
    }
    expect(existsSync(sample('complete'))).toBe(false);
    const { log } = await start();
    for (const name of ['ada.json', 'bruno.json', 'chiara.json']) expect(log).toContain(password(name));
    await until(async () => existsSync(sample('complete')));
    expect(await counts()).toMatchObject(complete);
  }, 200_000);

  it('is not made when it is off, nor where there are users; then the printed lines register one', async () => {
    const api = await start({ STUDENTLY_SAMPLE: 'off' });
    expect(await paste(api, 3)).toMatch(/"type": ?"flashcard"/);
    expect(await api.stop()).toBe(0);
    await start();
    expect(existsSync(sample())).toBe(false);
    expect(await counts()).toMatchObject({ users: 1, wordnet: 0, chats: 0 });
  }, 60_000);
});
