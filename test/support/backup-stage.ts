import { randomBytes } from 'node:crypto';
import { chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDatabase } from './platform';
import { postgresOwner, startPostgres, withClient, type PostgresServer } from './servers';
import { studently, type Ended } from './studently';

const DATABASE = 'studently';
const MIGRATOR = 'studently_migrator';

/** A migrated PostgreSQL whose WAL goes to an encrypted repository, as deploy/pgbackrest has it. */
export interface BackupStage {
  postgres: PostgresServer;
  /** As the superuser. */
  adminUrl: string;
  /** For the CLI, which connects as a login that is no superuser. */
  settings: NodeJS.ProcessEnv;
  /** The data folder of the server. */
  data: string;
  repository: string;
  folder: string;
  /** The same with another passphrase, or whatever else. */
  configured(changes: Record<string, string>): NodeJS.ProcessEnv;
  /** A folder that the user of PostgreSQL may write to; not made yet. */
  newFolder(name: string): string;
  backup(...args: string[]): Promise<Ended>;
  /** Waits until all that was committed is in the archive. */
  archived(): Promise<void>;
  remove(): Promise<void>;
}

export async function startBackupStage(more: Record<string, string> = {}): Promise<BackupStage> {
  const owner = postgresOwner();
  const folder = mkdtempSync(join(tmpdir(), 'studently-backup-'));
  const own = (path: string) => owner && chownSync(path, owner.uid, owner.gid);
  own(folder);
  const write = (name: string, text: string) => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    own(file);
    return file;
  };
  const hba = write('pg_hba.conf', 'local all postgres peer\nhost all all 127.0.0.1/32 scram-sha-256\n');
  // Without autovacuum nothing is committed but what a test commits.
  const archived = {
    hba_file: hba,
    archive_mode: 'on',
    archive_timeout: '4s',
    wal_level: 'replica',
    autovacuum: 'off',
    ...more,
  };
  const postgres = await startPostgres(archived, process.env['TEST_MIGRATED_CLUSTER']);
  await makeDatabase(postgres, DATABASE);
  const [data, socket] = await withClient(postgres.url('postgres'), async (client) => {
    const { rows } = await client.query<{ data: string; socket: string }>(
      `select current_setting('data_directory') as data, current_setting('unix_socket_directories') as socket`,
    );
    return [rows[0]!.data, rows[0]!.socket];
  });
  const repository = join(folder, 'repository');
  const configuration = {
    'repo1-path': repository,
    'repo1-cipher-type': 'aes-256-cbc',
    'repo1-cipher-pass': randomBytes(24).toString('hex'),
    'repo1-retention-full': '2',
    'compress-type': 'zst',
    'process-max': '2',
    'log-level-file': 'off',
    'lock-path': join(folder, 'lock'),
    'spool-path': join(folder, 'spool'),
  };
  const local = { 'pg1-path': data, 'pg1-port': String(postgres.port), 'pg1-socket-path': socket };
  const lines = (of: Record<string, string>) => Object.entries(of).map(([name, value]) => `${name}=${value}`);
  let count = 0;
  const configured = (changes: Record<string, string>) => {
    const all = ['[global]', ...lines({ ...configuration, ...changes }), '[studently]', ...lines(local), ''];
    return { ...settings, BACKUP_CONFIG: write(`pgbackrest-${count++}.conf`, all.join('\n')) };
  };
  const settings: NodeJS.ProcessEnv = {
    STUDENTLY_DATA_DIR: join(folder, 'platform'),
    DATABASE_URL: postgres.appUrl(DATABASE),
    DATABASE_MIGRATION_URL: postgres.url(DATABASE),
  };
  Object.assign(settings, configured({}));
  const archive = `pgbackrest --config=${settings['BACKUP_CONFIG']} --stanza=studently archive-push %p`;
  await withClient(postgres.url('postgres'), async (client) => {
    await client.query(`alter system set archive_command = '${archive}'`);
    await client.query('select pg_reload_conf()');
  });
  const password = randomBytes(12).toString('hex');
  await withClient(postgres.url(DATABASE), async (client) => {
    // Like the login of deploy/postgres/logins.sh: it may act as the owner of the tables, and is no superuser.
    await client.query(`create role ${MIGRATOR} login password '${password}'; grant studently_owner to ${MIGRATOR}`);
  });
  settings['DATABASE_MIGRATION_URL'] = Object.assign(new URL(postgres.url(DATABASE)), { username: MIGRATOR, password }).href;
  return {
    postgres,
    adminUrl: postgres.url(DATABASE),
    settings,
    data,
    repository,
    folder,
    configured,
    newFolder: (name) => join(folder, name),
    backup: (...args) => studently(settings, 'backup', ...args),
    archived: () =>
      withClient(postgres.url(DATABASE), async (client) => {
        const { rows } = await client.query<{ segment: string }>('select pg_walfile_name(pg_switch_wal()) as segment');
        for (const end = Date.now() + 30_000; ; await sleep(50)) {
          const { rows: done } = await client.query<{ segment: string }>(
            'select last_archived_wal as segment from pg_stat_archiver',
          );
          if (done[0]!.segment >= rows[0]!.segment) return;
          if (Date.now() > end) throw new Error(`${rows[0]!.segment} is not archived.`);
        }
      }),
    remove: async () => {
      await postgres.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The bit in the middle of a file is not what it was. */
export function flipBit(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(file, bytes);
}

export const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
