import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkServer, Migrations } from '@studently/platform';
import { SERVER_TIMEOUTS } from '../../libs/platform/src/persistence/connection';
import { findingsOf } from '../support/doctor';
import { startPostgres, withClient, type PostgresServer } from '../support/servers';

const root = join(__dirname, '../..');
const passwords = {
  STUDENTLY_APP_PASSWORD: "app's 1\\",
  STUDENTLY_MIGRATOR_PASSWORD: 'migrator-2',
  STUDENTLY_READER_PASSWORD: 'reader-3',
  STUDENTLY_REPLICATOR_PASSWORD: 'replicator-4',
};
const pgAdmin = (
  JSON.parse(readFileSync(join(root, 'deploy/pgadmin/servers.json'), 'utf8')) as {
    Servers: Record<string, { Username: string; Role: string; MaintenanceDB: string }>;
  }
).Servers['1']!;

/** The database as docker-compose.yml makes it: bootstrap.sql, logins.sh, then `studently migrate up`. */
describe('the logins of a served database', () => {
  let server: PostgresServer;
  const urlOf = (user: string, password: string) =>
    Object.assign(new URL(server.url('studently')), { username: user, password: encodeURIComponent(password) }).href;
  const app = () => urlOf('studently', passwords.STUDENTLY_APP_PASSWORD);
  const migrator = () => urlOf('studently_migrator', passwords.STUDENTLY_MIGRATOR_PASSWORD);
  const reader = () => urlOf(pgAdmin.Username, passwords.STUDENTLY_READER_PASSWORD);

  beforeAll(async () => {
    server = await startPostgres();
    const { hostname, port, password } = new URL(server.url('studently'));
    await withClient(server.url('postgres'), (client) => client.query('create database studently'));
    const environment = {
      PATH: process.env['PATH'],
      PGHOST: hostname,
      PGPORT: port,
      PGPASSWORD: password,
      POSTGRES_USER: 'postgres',
      POSTGRES_DB: 'studently',
      ...passwords,
    };
    const bootstrap = [
      '--quiet',
      '-v',
      'ON_ERROR_STOP=1',
      '-U',
      'postgres',
      '-d',
      'studently',
      '-f',
      'migrations/bootstrap.sql',
    ];
    execFileSync('psql', bootstrap, { cwd: root, env: environment, stdio: 'pipe' });
    execFileSync('deploy/postgres/logins.sh', { cwd: root, env: environment, stdio: 'pipe' });
    await new Migrations({ url: migrator(), embedded: false }).up();
  }, 60_000);
  afterAll(() => server?.remove());

  it('SEC-2 the API may start with a login that is no superuser, owns nothing and inherits nothing', async () => {
    expect(await checkServer({ url: app(), embedded: false })).toEqual([]);
    await withClient(app(), async (client) => {
      const { rows } = await client.query(
        `select rolsuper, rolbypassrls, rolinherit, rolcreaterole, rolcreatedb,
                exists (select from pg_class where relowner = r.oid) as owns
         from pg_roles r where rolname = current_user`,
      );
      expect(Object.values(rows[0])).toEqual([false, false, false, false, false, false]);
      await expect(client.query('select * from users')).rejects.toMatchObject({ code: '42501' });
    });
  });

  it('SC-1 with the login of the API waits have the end that the API asks for, also where a pooler does not pass that on', async () => {
    await withClient(app(), async (client) => {
      const names = Object.keys(SERVER_TIMEOUTS);
      const { rows } = await client.query(
        `select jsonb_object_agg(name, setting::int) as timeouts from pg_settings where name = any($1)`,
        [names],
      );
      expect(rows).toEqual([{ timeouts: SERVER_TIMEOUTS }]);
    });
  });

  it('SEC-4 SEC-10 their passwords are kept as SCRAM only, and end after a year', async () => {
    await withClient(server.url('studently'), async (client) => {
      const { rows } = await client.query(
        `select rolname as login, rolpassword like 'SCRAM-SHA-256$%' as scram, round(extract(day from rolvaliduntil - now()) / 365)::int as years
         from pg_authid where rolname in ('studently', 'studently_migrator', 'studently_reader') order by 1`,
      );
      const each = { scram: true, years: 1 };
      expect(rows).toEqual(['studently', 'studently_migrator', 'studently_reader'].map((login) => ({ login, ...each })));
    });
  });

  it('TM-1 migrating once more, as no superuser, changes nothing', async () => {
    expect(await new Migrations({ url: migrator(), embedded: false }).up()).toEqual([]);
    await withClient(migrator(), async (client) => {
      expect((await client.query('select rolsuper from pg_roles where rolname = current_user')).rows).toEqual([
        { rolsuper: false },
      ]);
    });
  });

  it('DM-3 the login of migrations sees all that the doctor asks, and the doctor has nothing against these logins', async () => {
    const found = await findingsOf({ url: migrator(), settings: { DATABASE_URL: app(), DATABASE_MIGRATION_URL: migrator() } });
    expect(found.map(({ check }) => check)).toEqual(['pgvector', 'settings']); // as PostgreSQL comes, without `studently tune`
  });

  it('SC-3 the login of standbys may replicate, and reads no table', async () => {
    const login = urlOf('studently_replicator', passwords.STUDENTLY_REPLICATOR_PASSWORD);
    await withClient(login, async (client) => {
      const { rows } = await client.query(
        'select rolreplication, rolsuper, rolbypassrls from pg_roles where rolname = current_user',
      );
      expect(rows).toEqual([{ rolreplication: true, rolsuper: false, rolbypassrls: false }]);
      await expect(client.query('select * from users')).rejects.toMatchObject({ code: '42501' });
    });
  });

  it("DEP-2 pgAdmin's login reads statistics, and is denied writes and learners' rows", async () => {
    expect(pgAdmin).toMatchObject({ Role: 'studently_readonly', MaintenanceDB: 'studently' });
    await withClient(reader(), async (client) => {
      await client.query(`set role ${pgAdmin.Role}`);
      expect((await client.query('select count(*)::int as n from pg_stat_activity')).rows[0]).toMatchObject({
        n: expect.any(Number),
      });
      await expect(client.query('select * from chats')).rejects.toMatchObject({ code: '42501' });
      await client.query('set default_transaction_read_only = off');
      await expect(client.query('delete from users')).rejects.toMatchObject({ code: '42501' });
      await expect(client.query('create table mine (id int)')).rejects.toMatchObject({ code: '42501' });
    });
  });
});
