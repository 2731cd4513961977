import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { rotateLogFile, rotatePostgresLogs } from '@studently/operations';
import { OwnerSession } from '@studently/platform';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { ApiProcess, waysToRun } from '../support/api-process';
import { HttpClient } from '../support/http';
import { describeServed } from '../support/served';
import { startPostgres, withClient, type PostgresServer } from '../support/servers';
import { studently } from '../support/studently';
import { until } from './support';

const DAY_SECONDS = 24 * 60 * 60;

/** All files of a folder, unpacked, one after the other. */
function everyLine(folder: string): string {
  const read = (name: string) => {
    const bytes = readFileSync(join(folder, name));
    return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  };
  return readdirSync(folder).sort().map(read).join('');
}

describe('studently maint logs', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'studently-logs-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('MN-5 rotates LOG_FILE while requests are logged, and no line is lost or doubled', async () => {
    const place = await waysToRun.at(-1)!.open();
    const file = join(folder, 'api.jsonl');
    const settings = { ...place.settings, LOG_FILE: file, LOG_ACCESS: 'true' };
    const api = await ApiProcess.start(settings);
    let [sent, isOver] = [0, false];
    try {
      const http = new HttpClient(api.url);
      const traffic = (async () => {
        for (; !isOver; await sleep(5)) await http.get('/health/live', { headers: { 'x-request-id': `nr-${++sent}.` } });
      })();
      for (let time = 0; time < 2; time++) {
        await until(async () => existsSync(file) && readFileSync(file, 'utf8').includes('nr-'), 30_000);
        const { rotatedTo } = await rotateLogFile(file, { keepDays: 30 });
        expect(rotatedTo).toContain(`${file}.2`);
      }
      isOver = true;
      await traffic;
      await api.stop();
      const { remark } = await rotateLogFile(file, { keepDays: 30 });
      expect(remark).toBeUndefined();
      const text = everyLine(folder);
      const found = [...text.matchAll(/"requestId":"nr-(\d+)\."/g)].map(([, nr]) => Number(nr));
      expect(sent).toBeGreaterThan(20);
      expect(found.sort((a, b) => a - b)).toEqual(Array.from({ length: sent }, (_, index) => index + 1));
      for (const line of text.trimEnd().split('\n')) JSON.parse(line);
      expect(readdirSync(folder).filter((name) => !name.endsWith('.gz'))).toEqual([]);
      expect(api.log).not.toContain('"requestId"');
    } finally {
      isOver = true;
      await api.stop();
      await place.close();
    }
  }, 120_000);

  it('MN-5 keeps what is young, removes what is older, touches nothing else, and does nothing in a dry run', async () => {
    const file = join(folder, 'worker.jsonl');
    const add = (name: string, ageDays: number) => {
      writeFileSync(join(folder, name), `${name}\n`);
      const then = Date.now() / 1000 - ageDays * DAY_SECONDS;
      utimesSync(join(folder, name), then, then);
    };
    add('worker.jsonl', 0);
    add('worker.jsonl.20260101T000000000Z.gz', 31);
    add('worker.jsonl.20260102T000000000Z', 40); // not compressed in time
    add('worker.jsonl.20260103T000000000Z.gz', 29);
    add('worker.jsonl.20260104T000000000Z', 2);
    add('worker.jsonl.bak', 400);
    add('other.jsonl.20260101T000000000Z.gz', 400);
    symlinkSync(join(folder, 'other.jsonl.20260101T000000000Z.gz'), join(folder, 'worker.jsonl.20260105T000000000Z'));
    const before = readdirSync(folder).sort();
    const dry = await rotateLogFile(file, { keepDays: 30, dryRun: true });
    expect(readdirSync(folder).sort()).toEqual(before);
    const done = await rotateLogFile(file, { keepDays: 30 });
    expect(dry.removed).toEqual(done.removed);
    expect(done.removed).toEqual(['worker.jsonl.20260101T000000000Z.gz', 'worker.jsonl.20260102T000000000Z']);
    expect(done.compressed).toContain('worker.jsonl.20260104T000000000Z');
    const left = readdirSync(folder);
    expect(left).toEqual(
      expect.arrayContaining([
        'worker.jsonl.20260103T000000000Z.gz',
        'worker.jsonl.20260104T000000000Z.gz',
        'worker.jsonl.bak',
      ]),
    );
    expect(left).toContain('other.jsonl.20260101T000000000Z.gz');
    expect(readFileSync(join(folder, 'other.jsonl.20260101T000000000Z.gz'), 'utf8')).toBe(
      'other.jsonl.20260101T000000000Z.gz\n',
    );
  });

  it('MN-5 a file that is still written to is left for the next run', async () => {
    const file = join(folder, 'api.jsonl');
    writeFileSync(file, 'first\n');
    const slow = await import('node:fs/promises').then(({ open }) => open(file, 'a')); // has not noticed yet
    const first = await rotateLogFile(file, { keepDays: 30 });
    expect([first.compressed, first.remark]).toEqual([[], expect.stringContaining('still being written to')]);
    await slow.write('second\n');
    await slow.close();
    appendFileSync(file, 'third\n');
    const second = await rotateLogFile(file, { keepDays: 30 });
    expect(second.compressed).toHaveLength(2);
    expect(everyLine(folder)).toBe('first\nsecond\nthird\n');
  });

  it('MN-5 loses no line of a process that it does not see, as one in another container', async () => {
    const [file, elsewhere] = [join(folder, 'api.jsonl'), mkdtempSync(join(tmpdir(), 'studently-logs-'))];
    const same = join(elsewhere, 'same');
    writeFileSync(file, 'first\n');
    linkSync(file, same);
    const rotated = rotateLogFile(file, { keepDays: 30 });
    await sleep(1000);
    appendFileSync(same, 'second\n'); // which looks once a second for a new file
    expect((await rotated).compressed).toHaveLength(1);
    expect(everyLine(folder)).toBe('first\nsecond\n');

    writeFileSync(file, 'third\n');
    writeFileSync(`${file}.20260101T000000000Z`, 'zeroth\n');
    writeFileSync(`${file}.20260101T000000000Z.gz.part`, ''); // it compresses as well
    expect((await rotateLogFile(file, { keepDays: 30 })).compressed).toHaveLength(1);
    expect(existsSync(`${file}.20260101T000000000Z.gz.part`)).toBe(true);
    rmSync(elsewhere, { recursive: true });
  });

  it('says 78 where LOG_FILE cannot be written', async () => {
    const place = await waysToRun.at(-1)!.open();
    const answer = await ApiProcess.run({ ...place.settings, LOG_FILE: join(folder, 'none', 'api.jsonl') });
    expect(answer).toMatchObject({ code: 78, output: expect.stringContaining('LOG_FILE_UNUSABLE') });
    await place.close();
  }, 60_000);

  describeServed('of PostgreSQL', () => {
    let server: PostgresServer;
    let url: string;
    beforeAll(async () => {
      server = await startPostgres({
        logging_collector: 'on',
        log_filename: 'postgresql-%Y-%m-%d_%H%M%S.log',
        log_min_messages: 'warning',
        log_statement: 'none',
      });
      url = server.url('postgres');
      await new Migrations({ url, embedded: false }).up();
    }, 60_000);
    afterAll(() => server?.remove());
    const rotate = (keepDays = 30) =>
      OwnerSession.run({ url, embedded: false }, (session) => rotatePostgresLogs(session, { keepDays }));

    it('MN-5 rotates them while the server writes, and no line is lost or doubled', async () => {
      let [sent, isOver] = [0, false];
      const writing = withClient(url, async (client) => {
        for (; !isOver; await sleep(1)) await client.query(`do $$ begin raise warning 'nr-%.', ${++sent}; end $$`);
      });
      for (let time = 0; time < 3; time++) {
        await sleep(1100); // names have seconds in them
        const answer = await rotate();
        expect(answer).toMatchObject({ rotatedTo: expect.stringContaining('postgresql-2'), compressed: [expect.any(String)] });
        expect(answer).not.toHaveProperty('remark');
      }
      isOver = true;
      await writing;
      const logs = (
        await withClient(url, (client) => client.query(`select current_setting('data_directory') || '/log' as folder`))
      ).rows[0].folder as string;
      const found = [...everyLine(logs).matchAll(/WARNING: {2}nr-(\d+)\./g)].map(([, nr]) => Number(nr));
      expect(found.sort((a, b) => a - b)).toEqual(Array.from({ length: sent }, (_, index) => index + 1));
      const gone = await rotate(0);
      expect(gone).toMatchObject({ removed: expect.arrayContaining([expect.stringMatching(/\.gz$/)]) });
      expect(readdirSync(logs).filter((name) => name.endsWith('.gz'))).toEqual([]);
    }, 60_000);

    it('says what to grant, and where there is nothing to rotate', async () => {
      await withClient(url, (client) =>
        client.query(`create role keeper login password 'keeper'; grant studently_owner to keeper`),
      );
      const keeper = Object.assign(new URL(url), { username: 'keeper', password: 'keeper' }).href;
      const settings = { DATABASE_URL: keeper };
      const refused = await studently(settings, 'maint', 'logs');
      expect(refused).toMatchObject({ code: 0, out: expect.stringContaining('grant pg_read_all_settings to <login>') });
      expect(refused.out).toContain('LOG_FILE is not set');
      await withClient(url, (client) =>
        client.query(
          'grant pg_read_all_settings to keeper; grant execute on function pg_rotate_logfile(), pg_current_logfile(), pg_current_logfile(text) to keeper',
        ),
      );
      const done = await studently(settings, '--json', 'maint', 'logs', '--keep', '5');
      expect([done.code, (JSON.parse(done.out) as { postgres: object }).postgres]).toEqual([
        0,
        expect.objectContaining({ removed: [] }),
      ]);
    }, 60_000);
  });
});
