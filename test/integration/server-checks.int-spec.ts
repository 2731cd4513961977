import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { checkServer } from '@studently/platform';
import { knownMigrations, Migrations } from '../../libs/platform/src/migrations/migrations';
import { ApiProcess } from '../support/api-process';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { freePort } from '../support/servers';

describe('At its start the platform', () => {
  let database: TestDatabase;
  const check = (url = database.url) => checkServer({ url, embedded: false });
  const refusal = (url?: string) =>
    check(url).then(
      () => ({ code: 'accepted', message: '', exitCode: 0 }),
      ({ code, message, exitCode }: { code: string; message: string; exitCode: number }) => ({ code, message, exitCode }),
    );
  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.drop());

  it('DB-1 DB-2 accepts PostgreSQL 15 with all that it needs, without a warning', async () => {
    expect(await check()).toEqual([]);
  });

  it.each(['pg_trgm', '"uuid-ossp"', 'vector', 'pg_stat_statements'])(
    'refuses a database without the extension %s',
    async (name) => {
      await sql(database.adminUrl, `drop extension ${name} cascade`);
      expect(await refusal()).toEqual({
        code: 'DB_EXTENSION_MISSING',
        message: expect.stringContaining(name.replaceAll('"', '')),
        exitCode: 78,
      });
    },
  );

  it('DB-2 refuses a pgvector older than 0.8', async () => {
    await sql(database.adminUrl, `update pg_extension set extversion = '0.7.4' where extname = 'vector'`);
    expect(await refusal()).toMatchObject({ code: 'DB_EXTENSION_TOO_OLD', message: expect.stringContaining('0.7.4') });
    await sql(database.adminUrl, `update pg_extension set extversion = '0.10.0' where extname = 'vector'`);
    expect(await refusal()).toMatchObject({ code: 'accepted' });
  });

  it('DB-1 refuses a server older than 15', async () => {
    // The check asks current_setting('server_version_num'); here a function of that name answers first.
    await sql(
      database.adminUrl,
      `create function public.current_setting(name text) returns text language sql as
         $$ select case name when 'server_version_num' then '140010' else pg_catalog.current_setting(name) end $$`,
    );
    await sql(
      database.adminUrl,
      `alter database ${new URL(database.url).pathname.slice(1)} set search_path = public, pg_catalog`,
    );
    expect(await refusal()).toEqual({
      code: 'DB_VERSION_UNSUPPORTED',
      message: expect.stringContaining('PostgreSQL 14'),
      exitCode: 78,
    });
  });

  it('refuses a login that may not act as the application', async () => {
    const login = `login_${randomBytes(4).toString('hex')}`;
    const password = randomBytes(8).toString('hex');
    await sql(database.adminUrl, `create role ${login} login noinherit password '${password}'`);
    try {
      const url = Object.assign(new URL(database.url), { username: login, password }).href;
      expect(await refusal(url)).toMatchObject({
        code: 'DB_ROLE_MISSING',
        message: expect.stringContaining('grant studently_app'),
      });
      await sql(database.adminUrl, `grant studently_app to ${login}`);
      expect(await refusal(url)).toMatchObject({ code: 'DB_ROLE_MISSING' });
      await sql(database.adminUrl, `grant studently_worker to ${login}`);
      expect(await refusal(url)).toMatchObject({ code: 'accepted' });
    } finally {
      await sql(database.adminUrl, `drop role ${login}`);
    }
  });

  it('refuses a database that is not migrated, in part or at all, and says how to', async () => {
    await new Migrations({ url: database.adminUrl, embedded: false }).down();
    expect(await refusal()).toMatchObject({
      code: 'DB_MIGRATIONS_PENDING',
      message: expect.stringContaining(knownMigrations().at(-1)!),
    });
    expect((await refusal()).message).toContain('npx studently migrate up');
    const empty = await createTestDatabase({ empty: true });
    expect(await refusal(empty.url)).toMatchObject({ code: 'DB_MIGRATIONS_PENDING' });
    await empty.drop();
  });

  it('warns of a database that is ahead of it', async () => {
    await sql(database.adminUrl, `insert into studently_migrations (name) values ('9999_from_the_future')`);
    expect(await check()).toEqual([expect.stringContaining('1 migration(s) ahead')]);
  });

  it('refuses a server that is not there or does not let it in, without showing the password', async () => {
    const nowhere = Object.assign(new URL(database.url), { port: String(await freePort()) });
    expect(await refusal(nowhere.href)).toMatchObject({ code: 'DATABASE_UNREACHABLE', exitCode: 78 });
    const wrong = Object.assign(new URL(database.url), { password: 'not-the-password' });
    const refused = await refusal(wrong.href);
    expect(refused).toMatchObject({ code: 'DATABASE_UNREACHABLE', message: expect.stringContaining('DATABASE_URL') });
    for (const secret of ['not-the-password', new URL(database.url).password]) expect(refused.message).not.toContain(secret);
  });

  it('RED-1 refuses a Redis older than 7, as the server itself tells its version', async () => {
    // No old Redis is at hand: this answers as one does.
    const old = createServer((socket) => {
      socket.on('data', (chunk: Buffer) => {
        const info = '# Server\r\nredis_version:6.2.14\r\n';
        for (const command of chunk.toString().split(/(?=\*\d+\r\n)/)) {
          socket.write(/info/i.test(command) && !/setinfo/i.test(command) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
        }
      });
      socket.on('error', () => undefined); // who refuses ends without a farewell
    }).listen(0, '127.0.0.1');
    await once(old, 'listening');
    try {
      const { port } = old.address() as AddressInfo;
      const start = await ApiProcess.run({ DATABASE_URL: database.url, REDIS_URL: `redis://127.0.0.1:${port}` });
      expect(start).toEqual({
        code: 78,
        output: expect.stringContaining('REDIS_VERSION_UNSUPPORTED: Redis 6.2.14 is too old'),
      });
    } finally {
      old.close();
    }
  });
});
