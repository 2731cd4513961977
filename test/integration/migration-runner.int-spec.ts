import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { MigrationFiles } from '../../libs/platform/src/migrations/migration-files';
import type { MigrationListener } from '../../libs/platform/src/migrations/migration-session';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { startPostgres, startStandby, withClient } from '../support/servers';

const NAME = '9001_things';
const TABLE = 'create table things (id integer primary key, n integer not null default 0, code integer)';

describe('Migrations while the schema is in use', () => {
  let database: TestDatabase;
  let folder: string;
  beforeEach(async () => {
    database = await createTestDatabase();
    folder = mkdtempSync(join(tmpdir(), 'studently-migrations-'));
    cpSync(new MigrationFiles().folder, folder, { recursive: true });
    await sql(
      database.adminUrl,
      `set role studently_owner; ${TABLE}; insert into things select n, 0, n from generate_series(1, 3000) n`,
    );
  });
  afterEach(async () => {
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  const write = (part: string, text: string) => writeFileSync(join(folder, `${NAME}.${part}.sql`), text);
  const migrations = (listener: MigrationListener = {}, url = database.adminUrl) =>
    new Migrations({ url, embedded: false }, listener, new MigrationFiles(folder));
  const counted = `-- through: things (id)\n-- left: select count(*) from things where n = 0\nupdate things set n = n + 1 where {batch};`;

  it('TM-2 a backfill that is cut off in the middle goes on where it was, and changes each row once', async () => {
    write('up', 'select 1');
    write('backfill', counted);
    await migrations().up();
    expect(await migrations().left()).toEqual({ [NAME]: 3000 });
    const other = new Client({ connectionString: database.adminUrl });
    await other.connect();
    await other.query('begin; update things set code = 0 where id = 2000'); // so that it cannot come to its end
    const cut = expect(migrations().backfill()).rejects.toThrow();
    const done = async () => Number((await sql<{ n: string }>(database.adminUrl, 'select sum(n) as n from things'))[0]!.n);
    while ((await done()) < 1000) await sleep(20);
    await killMigrator(database.adminUrl);
    await cut;
    await other.query('commit');
    await other.end();
    expect(await done()).toBeLessThan(2000);
    expect((await migrations().status()).backfill).toEqual([NAME]);
    await migrations().backfill();
    expect(await sql(database.adminUrl, 'select n, count(*)::int from things group by n')).toEqual([{ n: 1, count: 3000 }]);
    expect(await migrations().backfill()).toEqual({}); // nothing left
    expect((await migrations().status()).backfill).toEqual([]);
  });

  it('TM-2 contracts only when nothing is left, also if rows have come in since', async () => {
    write('up', 'select 1');
    write('backfill', counted);
    write('contract', 'alter table things drop column code');
    write('contract.down', 'alter table things add column code integer');
    write('down', 'select 1');
    await migrations().up();
    await expect(migrations().contract()).rejects.toThrow(
      /BACKFILL_UNFINISHED: 9001_things still needs something of 3000 rows/,
    );
    expect(await migrations().backfill()).toEqual({ [NAME]: 3000 });
    await sql(database.adminUrl, 'insert into things values (0, 0, 0)'); // as the release before does, behind it
    await expect(migrations().contract()).rejects.toThrow(/of 1 rows/);
    expect(await migrations().backfill()).toEqual({ [NAME]: expect.any(Number) });
    expect(await migrations().contract()).toEqual([NAME]);
    expect(await migrations().contract()).toEqual([]);
    await expect(sql(database.adminUrl, 'select code from things')).rejects.toThrow('does not exist');
    expect(await migrations().down()).toEqual([NAME]);
    expect(await sql(database.adminUrl, 'select code from things where id = 0')).toEqual([{ code: null }]);
  });

  it('TM-2 says so when a backfill does not do what it counts', async () => {
    write('up', 'select 1');
    write('backfill', counted.replace('set n = n + 1', 'set code = 1'));
    await migrations().up();
    await expect(migrations().backfill()).rejects.toThrow(/BACKFILL_UNFINISHED: 9001_things.backfill.sql:3 .* 3000 are left/);
  });

  it('TM-5 does not stand in the way while somebody else holds the table, and goes on when they have ended', async () => {
    write('up', 'alter table things add column later text');
    const reader = new Client({ connectionString: database.adminUrl });
    await reader.connect();
    await reader.query('begin; select count(*) from things');
    const up = migrations().up();
    for (let read = 0; read < 5; read++) {
      await sleep(60);
      await sql(database.adminUrl, `set statement_timeout = 3000; select count(*) from things`); // queued behind it would be for ever
    }
    expect((await migrationsApplied()).includes(NAME)).toBe(false);
    await reader.query('commit');
    await reader.end();
    expect(await up).toEqual([NAME]);
  });

  const migrationsApplied = async () =>
    (await sql<{ name: string }>(database.adminUrl, 'select name from studently_migrations')).map(({ name }) => name);

  it('TM-5 clears away an index that was left invalid, and builds it anew', async () => {
    const build = 'create unique index concurrently if not exists things_code on things (code)';
    write('up', `-- step\n${build};`);
    await sql(database.adminUrl, 'insert into things values (0, 0, 1)');
    await sql(database.adminUrl, build).catch(() => undefined);
    const validity = `select indisvalid as valid from pg_index where indexrelid = to_regclass('things_code')`;
    expect(await sql(database.adminUrl, validity)).toEqual([{ valid: false }]);
    await expect(migrations().up()).rejects.toThrow(/MIGRATION_FAILED: 9001_things.up.sql:2: could not create unique index/);
    expect(await sql(database.adminUrl, validity)).toEqual([]); // nor does its own failure leave one
    await sql(database.adminUrl, 'delete from things where id = 0');
    expect(await migrations().up()).toEqual([NAME]);
    expect(await sql(database.adminUrl, validity)).toEqual([{ valid: true }]);
  });

  it('TM-5 builds an index anew where it had to give way to somebody who waited for the table', async () => {
    write('up', '-- step\ncreate index concurrently if not exists things_n on things (n);');
    const clients = [new Client(database.adminUrl), new Client(database.adminUrl)] as const;
    await Promise.all(clients.map((client) => client.connect()));
    const [writer, other] = clients;
    try {
      await writer.query('begin; update things set n = 1 where id = 1'); // so that the build begins and waits
      await other.query(`set deadlock_timeout = '1min'; begin isolation level repeatable read; select count(*) from things`);
      const up = migrations().up();
      const building = `select from pg_stat_progress_create_index where datname = current_database() and phase = 'waiting for writers before build'`;
      while ((await sql(database.adminUrl, building)).length === 0) await sleep(20);
      const locked = other.query('lock table things in share update exclusive mode'); // as ANALYZE, with its snapshot
      const waiting = `select from pg_locks where relation = 'things'::regclass and not granted`;
      while ((await sql(database.adminUrl, waiting)).length === 0) await sleep(20);
      await writer.query('commit');
      await locked;
      await other.query('commit');
      expect(await up).toEqual([NAME]);
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
    const validity = `select indisvalid as valid from pg_index where indexrelid = 'things_n'::regclass`;
    expect(await sql(database.adminUrl, validity)).toEqual([{ valid: true }]);
  });

  it('TM-3 goes on with the step that failed, and turns round only when it is through', async () => {
    const steps = `-- step\nalter table things add column a text;\n-- step\nalter table things add column b text;\nalter table nothing add column c text;`;
    write('up', steps);
    write('down', '-- step\nalter table things drop column b;\n-- step\nalter table things drop column a;');
    await expect(migrations().up()).rejects.toThrow(
      /MIGRATION_FAILED: the step that begins at 9001_things.up.sql:4: relation "nothing" does not exist/,
    );
    await expect(migrations().down()).rejects.toThrow(/MIGRATION_UNFINISHED: 9001_things.up.sql was interrupted after step 1/);
    write('up', steps.replace('nothing add column c', 'things add column c'));
    expect(await migrations().up()).toEqual([NAME]);
    expect(await migrations().down()).toEqual([NAME]);
  });

  it('TM-3 goes back to a migration, however often that is said', async () => {
    const [before] = await sql<{ name: string }>(
      database.adminUrl,
      'select name from studently_migrations order by id desc limit 1',
    );
    write('up', 'create table one ()');
    write('down', 'drop table one');
    await expect(migrations().down({ to: NAME })).rejects.toThrow(/MIGRATION_NOT_APPLIED: 9001_things is not applied/);
    await migrations().up();
    expect(await migrations().toTakeBack({ to: before!.name })).toEqual([NAME]);
    expect(await migrations().down({ to: before!.name })).toEqual([NAME]);
    expect(await migrations().down({ to: before!.name })).toEqual([]);
  });

  it('what stands before the first step is one', async () => {
    write('up', 'create table one ();\n-- step: the second\ncreate table two ()');
    await migrations().up();
    expect(await sql(database.adminUrl, `select to_regclass('one')::text as one, to_regclass('two')::text as two`)).toEqual([
      { one: 'one', two: 'two' },
    ]);
  });

  it('TM-2 a backfill waits for a replica that falls behind', async () => {
    for (const name of new MigrationFiles(folder).names())
      for (const part of ['up', 'down']) rmSync(join(folder, `${name}.${part}.sql`));
    writeFileSync(join(folder, '9000_first.up.sql'), 'select 1');
    const primary = await startPostgres({ wal_level: 'replica', max_wal_size: '1GB' });
    const standby = await startStandby(primary, 'second');
    try {
      await withClient(primary.url('postgres'), (client) => client.query('create database platform'));
      const url = primary.url('platform');
      await migrations({}, url).up(); // with the first one nothing would be in use
      write('up', 'select 1');
      write('backfill', counted);
      await migrations({}, url).up();
      await sql(url, `set role studently_owner; ${TABLE}; insert into things select n from generate_series(1, 3000) n`);
      await withClient(standby.url('platform'), (client) => client.query('select pg_wal_replay_pause()'));
      await sql(url, `create table wal as select repeat(md5(n::text), 30) from generate_series(1, 30000) n`); // some 30 MB
      const waiting = new Promise<string>((resolve) => {
        void migrations({ tell: resolve }, url)
          .backfill()
          .then(() => resolve('it did not wait'));
      });
      expect(await waiting).toMatch(/^waiting for \w+, which is \d+ MB behind$/);
      expect(await sql(url, 'select count(*)::int from things where n = 1')).toEqual([{ count: 0 }]);
      await withClient(standby.url('platform'), (client) => client.query('select pg_wal_replay_resume()'));
      for (const end = Date.now() + 20_000; Date.now() < end; await sleep(100)) {
        const [{ left }] = (await sql<{ left: number }>(url, 'select count(*)::int as left from things where n = 0')) as [
          { left: number },
        ];
        if (left === 0) break;
      }
      expect(await sql(url, 'select n, count(*)::int from things group by n')).toEqual([{ n: 1, count: 3000 }]);
    } finally {
      await standby.remove();
      await primary.remove();
    }
  }, 60_000);
});

async function killMigrator(url: string): Promise<void> {
  await sql(
    url,
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'studently migrate' and datname = current_database()`,
  );
}
