import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadSettings, render, tune } from '@studently/platform';
import { Client } from 'pg';
import { amcheck } from '../../libs/platform/src/doctor/deep/amcheck';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { Authority } from '../support/certificates';
import { findingsOf, runMend } from '../support/doctor';
import { postgresOwner, startPostgres, startStandby, withClient, type PostgresServer } from '../support/servers';
import { startTlsPostgres } from '../support/tls-servers';

const BIN = '/usr/lib/postgresql/15/bin';
const owner = postgresOwner();

const machine = { memory: 1024 ** 3, cpus: 2, workload: 'mixed', processes: 3, poolSize: 10 } as const;
const tuned = Object.fromEntries(
  [...render(machine, tune(machine))['postgresql.conf'].matchAll(/^(\w+) = '?(.*?)'?$/gm)].map(([, name, value]) => [
    name!,
    value!,
  ]),
);

async function migrated(server: PostgresServer): Promise<string> {
  await withClient(server.url('postgres'), (client) => client.query('create database studently'));
  const url = server.url('studently');
  await new Migrations({ url, embedded: false }).up();
  await run(url, 'grant studently_app, studently_worker to studently_login', 'create extension amcheck');
  return url;
}

const run = (url: string, ...statements: string[]) =>
  withClient(url, async (client) => {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows as Record<string, unknown>[];
    return rows;
  });

/** Until the findings are these: what a server does by itself takes it a moment. */
async function untilFound(look: () => ReturnType<typeof findingsOf>, checks: string[]) {
  for (let attempt = 0; ; attempt++) {
    const found = await look();
    if (found.map(({ check }) => check).join() === checks.join() || attempt === 100) {
      expect(found.map(({ check }) => check)).toEqual(checks);
      return found;
    }
    await sleep(100);
  }
}

describe('studently doctor, of a server', () => {
  let server: PostgresServer;
  let url: string;
  let data: string;
  let settings: NodeJS.ProcessEnv;
  let login: NodeJS.ProcessEnv;
  const look = (more: NodeJS.ProcessEnv = {}, deep = false) => findingsOf({ url, deep, settings: { ...settings, ...more } });
  beforeAll(async () => {
    server = await startPostgres({ ...tuned, autovacuum_freeze_max_age: '2000000000' });
    url = await migrated(server);
    data = String((await run(url, 'show data_directory'))[0]!['data_directory']);
    settings = { DATABASE_URL: server.appUrl('studently'), DATABASE_MIGRATION_URL: url };
    const { password, port } = new URL(url);
    login = { PGHOST: '127.0.0.1', PGPORT: port, PGUSER: 'postgres', PGPASSWORD: password };
  }, 60_000);
  afterAll(() => server?.remove());
  const inFolder = (program: string, ...args: string[]) =>
    execFileSync(join(BIN, program), [...args, '-D', data], { ...owner, stdio: 'ignore', cwd: data });

  it('DB-4 DB-6 TB-5 finds a start without pg_stat_statements or checksums, and too few connections for the pools', async () => {
    await run(url, 'alter system set shared_preload_libraries = auto_explain');
    await server.stop();
    inFolder('pg_checksums', '--disable');
    server = await server.restart();
    const pools = { DATABASE_POOL_SIZE: '100' };
    const planted = ['pools', 'pg_stat_statements', 'checksums'];
    const found = await untilFound(() => look(pools), planted);
    expect(found[0]).toMatchObject({
      severity: 'critical',
      what: expect.stringContaining('1 processes open up to 102 connections'),
    });
    const [connections, statements, checksums] = found.map(({ mend }) => mend) as [string, string, string];
    runMend(connections, url);
    runMend(statements, url);
    // What is written waits for a restart, and says so.
    await run(url, 'select pg_reload_conf()');
    const waiting = await untilFound(() => look(pools), ['pools', 'pg_stat_statements', 'checksums', 'restart', 'restart']);
    runMend(waiting.at(-1)!.mend, url, { ...owner });
    await untilFound(() => look(pools), ['checksums']);
    inFolder('pg_ctl', 'stop');
    runMend(checksums, url, { ...owner });
    server = await server.restart();
    await untilFound(() => look(pools), []);
  }, 60_000);

  it('finds databases whose transaction ids run out', async () => {
    await server.stop();
    inFolder('pg_resetwal', `--next-transaction-id=${2 ** 30 + 2 ** 20}`);
    server = await server.restart();
    const found = await untilFound(() => look(), ['wraparound', 'wraparound', 'wraparound']);
    expect(found.map(({ mend }) => mend.split('   ')[0]).sort()).toEqual(
      ['postgres', 'studently', 'template1'].map((name) => `$ vacuumdb --freeze --dbname=${name}`),
    );
    for (const { mend } of found) runMend(mend, url, { env: login });
    await untilFound(() => look(), []);
  }, 60_000);

  it('DM-4 TB-5 finds damaged pages of an index and of a table', async () => {
    await run(
      url,
      'create table damaged (id int primary key)',
      'insert into damaged select generate_series(1, 5000)',
      'checkpoint',
    );
    const [{ index, heap }] = (await run(
      url,
      `select pg_relation_filepath('damaged_pkey') as index, pg_relation_filepath('damaged') as heap`,
    )) as [{ index: string; heap: string }];
    await server.stop();
    for (const file of [index, heap]) {
      const handle = openSync(join(data, file), 'r+');
      writeSync(handle, 'damage', 8192 + 4000); // in the second page
      closeSync(handle);
    }
    server = await server.restart();
    const found = await untilFound(() => look({}, true), ['amcheck', 'amcheck']);
    expect(found).toMatchObject([
      {
        severity: 'critical',
        what: expect.stringMatching(/^The index damaged_pkey is damaged: invalid page in block 1 of relation/),
      },
      {
        severity: 'critical',
        what: expect.stringMatching(/^The table damaged is damaged: invalid page in block 1 of relation/),
      },
    ]);
    await run(url, 'drop table damaged');
    // An index that lost an entry has valid pages.
    await run(
      url,
      'create table lost (id int primary key)',
      'insert into lost values (1)',
      `update pg_index set indisready = false where indexrelid = 'lost_pkey'::regclass`,
    );
    await run(url, 'insert into lost values (2)');
    await run(url, `update pg_index set indisready = true where indexrelid = 'lost_pkey'::regclass`);
    const [entry] = await untilFound(() => look({}, true), ['amcheck']);
    expect(entry!.what).toMatch(/^The index lost_pkey is damaged: heap tuple .* lacks matching index tuple/);
    runMend(entry!.mend, url);
    await untilFound(() => look({}, true), []);
    await run(url, 'drop table lost');
  }, 60_000);

  it('TB-1 finds that the write-ahead log is not archived, whether that fails or nobody has said how', async () => {
    const archived = await startPostgres({ ...tuned, archive_mode: 'on', archive_command: 'true' });
    try {
      const there = await migrated(archived);
      const settings = { DATABASE_URL: archived.appUrl('studently'), DATABASE_MIGRATION_URL: there };
      const look = () => findingsOf({ url: there, settings });
      const set = async (command: string) => {
        await run(there, `alter system set archive_command = '${command}'`, 'select pg_reload_conf()');
        await run(there, `select pg_logical_emit_message(true, 'filler', 'x')`, 'select pg_switch_wal()');
      };
      expect(await look()).toEqual([]);
      await set('false');
      const [failed] = await untilFound(look, ['archiving']);
      expect(failed).toMatchObject({
        severity: 'critical',
        what: expect.stringMatching(/^The segment [0-9A-F]{24} could not be archived/),
      });
      await set('true');
      await run(there, 'select pg_switch_wal()');
      await untilFound(look, []);
      await set('');
      const [empty] = await untilFound(look, ['archiving']);
      expect(empty!.what).toMatch(/^archive_mode is on, and archive_command is empty/);
    } finally {
      await archived.remove();
    }
  }, 120_000);

  it('TB-5 takes no index for damaged that was built anew meanwhile', async () => {
    await run(url, 'create table rebuilt (id int primary key)');
    let isFirst = true;
    const ask = async <Row extends object>(text: string) => {
      if (isFirst && text.includes('bt_index_check(')) await run(url, 'reindex index concurrently rebuilt_pkey');
      isFirst &&= !text.includes('bt_index_check(');
      return (await run(url, text)) as Row[];
    };
    const target = { url, embedded: false };
    expect(await amcheck.examine({ target, settings: loadSettings(settings), ask, tell: () => undefined })).toEqual([]);
    expect(isFirst).toBe(false);
    await run(url, 'drop table rebuilt');
  }, 60_000);

  it('finds a standby that is far behind, one that receives nothing, and slots without a limit', async () => {
    const standby = await startStandby(server, 'second', { recovery_min_apply_delay: '1h' });
    const there = standby.url('studently');
    const lookThere = () => findingsOf({ url: there, settings: { ...settings, DATABASE_MIGRATION_URL: there } });
    try {
      const [{ name }] = (await untilRows(() =>
        run(url, `select application_name as name from pg_stat_replication where state = 'streaming'`),
      )) as [{ name: string }];
      expect(await look()).toEqual([]);
      await run(
        url,
        'create table late ()', // whose commit waits for an hour, and what comes after it with it
        `select pg_logical_emit_message(false, 'filler', repeat('x', 80 * 1024 * 1024))`,
      );
      const [behind] = await untilFound(() => look(), ['standbys']);
      expect(behind!.what).toMatch(new RegExp(`^The standby ${name} \\(streaming\\) is [78]\\d(\\.\\d)? MB behind`));
      await run(there, `alter system set recovery_min_apply_delay = 0`, 'select pg_reload_conf()');
      await untilFound(() => look(), []);
      expect((await lookThere()).filter(({ check }) => check !== 'login')).toEqual([]);

      await run(url, 'alter system set max_slot_wal_keep_size = -1', 'select pg_reload_conf()');
      const [limit] = await untilFound(() => look(), ['slot limit']);
      runMend(limit!.mend, url);
      await untilFound(() => look(), []);

      await run(there, `alter system set primary_conninfo = ''`, 'select pg_reload_conf()');
      const alone = () => lookThere().then((found) => found.filter(({ check }) => check !== 'login'));
      const [receiver] = await untilFound(alone, ['receiver']);
      expect(receiver).toMatchObject({ severity: 'critical' });
      await untilFound(() => look(), ['slots']);
    } finally {
      await standby.remove();
      await run(url, `select pg_drop_replication_slot('second')`);
    }
  }, 60_000);
});

async function untilRows<T>(ask: () => Promise<T[]>): Promise<T[]> {
  for (let attempt = 0; ; attempt++) {
    const rows = await ask().catch(() => []);
    if (rows.length > 0 || attempt === 150) return rows;
    await sleep(100);
  }
}

describe('studently doctor, of the way to a server', () => {
  it('finds who speaks without TLS to a server that offers it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-doctor-tls-'));
    const authority = new Authority(folder);
    const server = await startTlsPostgres(authority.issue('server', 'IP:127.0.0.1'));
    try {
      const tls = `?sslmode=verify-full&sslrootcert=${authority.certFile}`;
      const url = server.url('studently') + tls;
      await withClient(`${server.url('postgres')}?sslmode=no-verify`, (client) => client.query('create database studently'));
      await new Migrations({ url, embedded: false }).up();
      await inTheClear(server, url);
    } finally {
      await server.remove();
      rmSync(folder, { recursive: true, force: true });
    }
  }, 40_000);

  async function inTheClear(server: PostgresServer, url: string): Promise<void> {
    const admin = (statement: string) =>
      withClient(`${server.url('studently')}?sslmode=no-verify`, async (client) => (await client.query(statement)).rows[0]);
    const { file } = await admin(`select current_setting('hba_file') as file`);
    writeFileSync(file, 'host all all 127.0.0.0/8 scram-sha-256\n');
    await admin('select pg_reload_conf()');
    const from = (address: string) => {
      const client = new Client({
        connectionString: server.url('studently'),
        ssl: false,
        stream: () => bound(address),
      });
      client.on('error', () => undefined);
      return client;
    };
    // The postmaster reads its files again a moment after it was asked to.
    const plain = await untilRows(async () => {
      const client = from('127.0.0.2');
      await client.connect();
      return [client];
    });
    const look = async () =>
      (await findingsOf({ url, settings: { DATABASE_URL: url } })).filter(({ check }) => check === 'plaintext');
    const [found] = await look();
    expect(found).toMatchObject({
      severity: 'warning',
      what: expect.stringMatching(/^postgres speaks to PostgreSQL from 127.0.0.2 without TLS/),
    });
    const command = found!.mend.split('   ')[0]!.replace('pg_hba.conf', file);
    runMend(command, url);
    await admin('select pg_reload_conf()');
    await plain[0]!.end();
    expect(await look()).toEqual([]);
  }
});

/** A socket that connects from an address of its own. */
function bound(localAddress: string): Socket {
  const socket = new Socket();
  const original = socket.connect.bind(socket) as (options: object) => Socket;
  socket.connect = ((port: number, host: string) => original({ port, host, localAddress })) as never;
  return socket;
}
