import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ConfigurationError, type OwnerSession } from '@studently/platform';
import { inSteps, type Course } from './steps';
import { tablesOf, tableState } from './tables';
import type { TableMaintained } from './vacuum';

const PACKAGE = 'postgresql-15-repack';
/** It waits so long for those who hold locks on the table before it gives up; it never ends them. */
const WAIT_SECONDS = 30;

/**
 * Writes tables anew without their dead room, while they are read and written, by pg_repack: needs its extension, its program and a
 * superuser, and room on the disk for a second copy. What an earlier run that died has left behind is removed first.
 * @throws ConfigurationError `REPACK_MISSING`, `REPACK_VERSION`, `REPACK_NOT_ALLOWED`, `REPACK_EMBEDDED`
 */
export async function repack(
  session: OwnerSession,
  names: readonly string[],
  course: Course,
  untilCancelled: AbortSignal,
): Promise<TableMaintained[]> {
  const program = await programFor(session);
  return inSteps(
    await tablesOf(session, names),
    ({ table }) => table,
    course,
    async (before) => {
      const { table } = before;
      const statement = `pg_repack --no-order --no-kill-backend --wait-timeout ${WAIT_SECONDS} --table ${table}`;
      if (course.dryRun) return { table, statement, before };
      await removeLeftovers(session, table);
      const [, ...args] = statement.split(' ');
      await run(program, args, connectionEnvironment(session.target.url), untilCancelled);
      return { table, statement, before, after: await tableState(session, table) };
    },
  );
}

interface Facts {
  extension: string | null;
  available: string | null;
  isSuperuser: boolean;
  major: number;
}

async function programFor(session: OwnerSession): Promise<string> {
  if (session.target.embedded) {
    throw new ConfigurationError('REPACK_EMBEDDED', 'An embedded database has no pg_repack: `maint vacuum` is what there is.');
  }
  const [facts] = await session.query<Facts>(
    `select (select extversion from pg_extension where extname = 'pg_repack') as extension,
       (select default_version from pg_available_extensions where name = 'pg_repack') as available,
       (select rolsuper from pg_roles where rolname = session_user) as "isSuperuser",
       current_setting('server_version_num')::int / 10000 as major`,
  );
  const { extension, available, isSuperuser, major } = facts!;
  if (extension === null) {
    const first = available === null ? `install ${PACKAGE} on the machine of the database, then ` : '';
    throw new ConfigurationError(
      'REPACK_MISSING',
      `The database has no pg_repack: ${first}as an administrator, in this database: create extension pg_repack`,
    );
  }
  if (!isSuperuser) {
    throw new ConfigurationError(
      'REPACK_NOT_ALLOWED',
      'pg_repack works for superusers alone: for this command give DATABASE_MIGRATION_URL the login of one.',
    );
  }
  const program = programOf(major);
  if (program === undefined) {
    throw new ConfigurationError('REPACK_MISSING', `This machine has no pg_repack: install ${PACKAGE} here.`);
  }
  const version = await run(program, ['--version'], {}, AbortSignal.timeout(5000));
  if (!version.includes(` ${extension}`)) {
    throw new ConfigurationError(
      'REPACK_VERSION',
      `The program is ${version.trim()}, the extension ${extension}. They have to be the same: as an administrator ` +
        'drop extension pg_repack cascade; create extension pg_repack',
    );
  }
  return program;
}

function programOf(major: number): string | undefined {
  const folders = [`/usr/lib/postgresql/${major}/bin`, ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders.map((folder) => join(folder, 'pg_repack')).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Its trigger would go on writing down every change, for nobody. It takes the locks of its tables only if nobody repacks them. */
async function removeLeftovers(session: OwnerSession, table: string): Promise<void> {
  await session.execute('reset role');
  try {
    await session.query(
      `select repack.repack_drop(c.oid, 4) from pg_class c where c.oid = $1::regclass
         and (to_regclass(format('repack.log_%s', c.oid)) is not null or to_regclass(format('repack.table_%s', c.oid)) is not null
              or exists (select from pg_trigger where tgrelid = c.oid and tgname = 'repack_trigger'))`,
      [table],
    );
  } finally {
    await session.execute('set role studently_owner');
  }
}

/** Where to connect, as libpq reads it. Arguments could be read by everybody on the machine. */
function connectionEnvironment(address: string): NodeJS.ProcessEnv {
  const url = new URL(address);
  const given = (name: string) => url.searchParams.get(name) ?? undefined;
  return {
    PGHOST: given('host') ?? url.hostname.replace(/^\[(.+)\]$/, '$1'),
    PGPORT: url.port || given('port') || '5432',
    PGUSER: decodeURIComponent(url.username),
    PGPASSWORD: decodeURIComponent(url.password),
    PGDATABASE: decodeURIComponent(url.pathname.slice(1)),
    PGSSLMODE: given('sslmode'),
    PGSSLROOTCERT: given('sslrootcert') ?? '/etc/ssl/certs/ca-certificates.crt', // libpq of 15 knows no others
    PGOPTIONS: '-c client_min_messages=warning',
  };
}

/** @returns what it has written. @throws Error with its last words */
function run(program: string, args: string[], environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    // SIGINT: it then removes what it has put into the database.
    const child = spawn(program, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGINT' });
    let said = '';
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
    }
    child.once('error', (error) => error.name !== 'AbortError' && reject(error));
    child.once('close', (code) => {
      const fault = /^(?:ERROR|WARNING): .*$/m.exec(said)?.[0];
      if (code === 0 && !fault) resolve(said);
      else reject(new Error(`pg_repack ${signal.aborted ? 'was interrupted' : `has failed (${fault ?? `exit ${code}`})`}`));
    });
  });
}
