import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProcess } from '../support/api-process';
import { createTestDatabase } from '../support/database';
import { HttpClient, logIn, newLearner, type TestLearner } from '../support/http';
import { itServed } from '../support/served';
import { freePort } from '../support/servers';
import { until } from './support';

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe('embedded', () => {
  let folder: string;
  let api: ApiProcess | undefined;
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'studently-embedded-')), 'data');
  });
  afterEach(async () => {
    await api?.stop('SIGKILL');
    rmSync(join(folder, '..'), { recursive: true, force: true });
  });
  const start = async (): Promise<HttpClient> => {
    api = await ApiProcess.start({ STUDENTLY_DATA_DIR: folder, LOG_ACCESS: 'false' });
    return new HttpClient(api.url);
  };

  it('loses nothing that it has acknowledged to kill -9, three times in a row', async () => {
    let http = await start();
    const { email, password } = await newLearner(http);
    let ada: TestLearner['http'] = http.as(await logIn(http, email, password));
    const { id } = (await ada.post('/v1/chats', { title: 'Kill me' })).body;
    const path = `/v1/chats/${id}`;
    const acknowledged = new Map<number, string>();

    for (const round of range(1, 3)) {
      let nr = 0;
      /** Appends until the process is gone. */
      const writer = async () => {
        for (;;) {
          const content = `round ${round}, message ${++nr}`;
          const answer = await ada.post(`${path}/messages`, { role: 'user', content }).catch(() => undefined);
          if (!answer) return;
          expect(answer.status).toBe(201);
          expect(acknowledged.has(answer.body.seq)).toBe(false);
          acknowledged.set(answer.body.seq, content);
        }
      };
      const writers = range(1, 4).map(writer);
      const enough = acknowledged.size + 60;
      await until(async () => acknowledged.size >= enough);
      await api!.stop('SIGKILL');
      await Promise.all(writers);

      const since = performance.now();
      http = await start();
      const milliseconds = Math.round(performance.now() - since);
      process.stdout.write(`embedded: ready ${milliseconds} ms after kill -9, ${acknowledged.size} messages acknowledged\n`);
      expect(milliseconds).toBeLessThan(30_000); // the goal is 3 s, which the bench measures; this machine may be busy
      ada = http.as(await logIn(http, email, password));

      const { messages, messageCount } = (await ada.get(`${path}/export`)).body;
      expect(messages.map(({ seq }: { seq: number }) => seq)).toEqual(range(1, messageCount));
      const contentOf = new Map<number, string>(
        messages.map(({ seq, content }: { seq: number; content: string }) => [seq, content]),
      );
      for (const [seq, content] of acknowledged) expect([seq, contentOf.get(seq)]).toEqual([seq, content]);
      expect(new Set(contentOf.values()).size).toBe(messageCount);
      // What was committed but not yet acknowledged may be there too: at most one message of each writer and round.
      expect(messageCount - acknowledged.size).toBeLessThanOrEqual(4 * round);
    }
  }, 90_000);

  it('refuses a second start on the same folder, which stays private', async () => {
    const http = await start();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'run')).mode & 0o777).toBe(0o700);
    const second = await ApiProcess.run({ STUDENTLY_DATA_DIR: folder });
    expect(second).toEqual({ code: 78, output: expect.stringContaining('DATA_DIR_IN_USE') });
    expect(second.output).toContain(folder);
    expect((await http.get('/health/ready')).body.status).toBe('ok');
    expect(await api!.stop()).toBe(0);
    await start();
  });

  it('is one on its folder for all containers of a machine: another one is refused, and a command reaches it', async () => {
    const http = await start();
    const elsewhere = (program: string, ...args: string[]) =>
      spawnSync('unshare', ['--map-root-user', '--net', process.execPath, join(__dirname, '../../dist', program), ...args], {
        env: { PATH: process.env['PATH'], STUDENTLY_DATA_DIR: folder, STUDENTLY_SAMPLE: 'off', PORT: '0' },
        encoding: 'utf8',
        timeout: 20_000,
      });
    const second = elsewhere('api.js');
    if (/unshare/.test(second.stderr)) return; // not allowed on this machine
    expect(second).toMatchObject({ status: 78, stderr: expect.stringContaining('DATA_DIR_IN_USE') });
    expect(elsewhere('cli.js', 'status')).toMatchObject({ status: 0, stderr: '' });
    expect((await http.get('/health/ready')).body.status).toBe('ok');
  }, 60_000);

  it('is refused while one begins that does not answer yet, whatever network and path that has', async () => {
    mkdirSync(folder);
    const beginning = spawn('flock', [join(folder, 'lock'), 'sh', '-c', 'echo; exec cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await once(beginning.stdout, 'data');
    const second = await ApiProcess.run({ STUDENTLY_DATA_DIR: folder });
    expect(second).toEqual({ code: 78, output: expect.stringContaining('DATA_DIR_IN_USE') });
    beginning.stdin.end();
    await once(beginning, 'close');
    await start();
  }, 60_000);

  it('survives kill -9 at any moment of its very first start, again and again', async () => {
    const main = join(__dirname, '../../dist/api.js');
    const unfinished = join(folder, 'postgres.unfinished');
    const socket = join(folder, 'run', '.s.PGSQL.5432');
    /** What appears on the disk in the course of a first start, and how long after that it is killed. */
    const moments: [file: string, delay: number][] = [
      [unfinished, 0],
      [join(unfinished, 'base'), 500],
      [join(folder, 'postgres'), 0],
      [socket, 0], // from here on it migrates
      [socket, 150],
    ];
    for (const [file, delay] of moments) {
      const startedAt = Date.now();
      const child = spawn(process.execPath, [main], {
        env: { PATH: process.env['PATH'], STUDENTLY_DATA_DIR: folder, STUDENTLY_SAMPLE: 'off', PORT: '0' },
        stdio: 'ignore',
      });
      const gone = new Promise((resolve) => child.once('exit', resolve));
      await until(async () => child.exitCode !== null || appearedSince(file, startedAt), 20_000);
      await sleep(delay); // somewhere in the middle of what comes next
      expect(child.exitCode).toBeNull(); // it has not given up by itself
      child.kill('SIGKILL');
      await gone;
    }
    const ada = await newLearner(await start());
    expect((await ada.http.get('/v1/users/me')).status).toBe(200);
    expect(await api!.stop()).toBe(0);
  }, 90_000);

  it('says what is wrong with a folder that it cannot use', async () => {
    mkdirSync(join(folder, '..', 'other'));
    const file = join(folder, '..', 'other', 'file');
    writeFileSync(file, 'not a folder');
    const { code, output } = await ApiProcess.run({ STUDENTLY_DATA_DIR: file });
    expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining('DATA_DIR_UNUSABLE') });
    expect(output).toContain(file);
  });

  it('says that its port is taken, before it fills a database', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const { code, output } = await ApiProcess.run({ STUDENTLY_DATA_DIR: join(folder, 'unused'), PORT: String(port) });
    other.close();
    expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining('PORT_UNUSABLE') });
    expect(output).toContain(`127.0.0.1:${port}`);
    expect(existsSync(join(folder, '..', 'unused', 'keys'))).toBe(false);
  });
});

function appearedSince(path: string, moment: number): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && Math.max(found.birthtimeMs, found.ctimeMs) >= moment - 5;
}

describe('a configuration that cannot work', () => {
  it('is refused with every fault at once, without showing a value', async () => {
    const secret = 'sekret-value';
    const { code, output } = await ApiProcess.run({
      PORT: '99999',
      DATABASE_URL: `mysql://${secret}@localhost/db`,
      REDIS_URL: secret,
      LOG_LEVEL: 'loud',
      LOG_ACCESS: 'perhaps',
      DRAIN_SECONDS: '-1',
      BOOTSTRAP_ADMIN_EMAIL: 'nobody',
    });
    expect(code).toBe(78);
    expect(output).toContain('CONFIG_INVALID');
    for (const name of [
      'PORT',
      'DATABASE_URL',
      'REDIS_URL',
      'LOG_LEVEL',
      'LOG_ACCESS',
      'DRAIN_SECONDS',
      'BOOTSTRAP_ADMIN_EMAIL',
    ]) {
      expect(output).toMatch(new RegExp(`^  - ${name} `, 'm'));
    }
    expect(output).not.toContain(secret);
  });

  it('is refused where settings only make sense together', async () => {
    const { code, output } = await ApiProcess.run({ REDIS_URL: 'redis://127.0.0.1:1', BOOTSTRAP_ADMIN_EMAIL: 'a@example.org' });
    expect(code).toBe(78);
    expect(output).toMatch(/^ {2}- REDIS_URL needs DATABASE_URL/m);
    expect(output).toMatch(/^ {2}- BOOTSTRAP_ADMIN_EMAIL and BOOTSTRAP_ADMIN_PASSWORD go together/m);
  });

  it('is refused where the database does not answer, without showing the password', async () => {
    const port = await freePort();
    const { code, output } = await ApiProcess.run({ DATABASE_URL: `postgres://someone:sekret@127.0.0.1:${port}/db` });
    expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining('DATABASE_UNREACHABLE') });
    expect(output).toContain(`127.0.0.1:${port}`);
    expect(output).not.toContain('sekret');
  });
});

itServed('a served database without migrations is refused, and left as it was', async () => {
  const database = await createTestDatabase({ empty: true });
  try {
    for (const _ of [1, 2]) {
      const { code, output } = await ApiProcess.run({ DATABASE_URL: database.url });
      expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining('DB_MIGRATIONS_PENDING') });
      expect(output).toContain('npx studently migrate up');
      expect(output).toContain('0001_platform');
    }
  } finally {
    await database.drop();
  }
});
