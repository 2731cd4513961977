import { Client } from 'pg';
import { ConfigurationError } from '../config/config';
import { connectionOptions, type DatabaseTarget } from './connection';
import { knownMigrations } from './migrations';

const EXTENSIONS = ['vector', 'uuid-ossp', 'pg_stat_statements', 'pg_trgm'];

interface ServerFacts {
  version: number;
  extensions: Record<string, string>;
  migrated: boolean;
  canAct: boolean;
}

const FACTS = `
  select current_setting('server_version_num')::int as version,
         (select coalesce(jsonb_object_agg(extname, extversion), '{}') from pg_extension) as extensions,
         to_regclass('public.studently_migrations') is not null as migrated,
         coalesce((select bool_and(pg_has_role(oid, 'member')) and count(*) = 2 from pg_roles
                   where rolname in ('studently_app', 'studently_worker')), false) as "canAct"`;

/** A served start that cannot reach its database fails at once; the orchestrator tries again. */
const CONNECT_TIMEOUT_MS = 5000;

/**
 * Refuses a database that this release cannot work with, with one message that says what to do.
 * @returns warnings about what works but is not what is tested
 * @throws ConfigurationError `DATABASE_UNREACHABLE`, `DB_VERSION_UNSUPPORTED`,
 *   `DB_EXTENSION_MISSING`, `DB_EXTENSION_TOO_OLD`, `DB_ROLE_MISSING` or `DB_MIGRATIONS_PENDING`
 */
export async function checkServer(target: DatabaseTarget): Promise<string[]> {
  const client = new Client({ ...connectionOptions(target, 1), connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on('error', () => undefined); // whoever waits for an answer is told
  try {
    await client.connect();
  } catch (error) {
    const { hostname, port } = new URL(target.url);
    throw new ConfigurationError(
      'DATABASE_UNREACHABLE',
      `The database at ${hostname}:${port || 5432} does not let us in (${(error as Error).message}): check DATABASE_URL and that it runs.`,
    );
  }
  try {
    const facts = (await client.query<ServerFacts>(FACTS)).rows[0]!;
    const warnings = judge(facts, target);
    await client.query('begin read only; set local role studently_app');
    const executed = await client.query<{ name: string }>('select name from studently_migrations order by id');
    const known = knownMigrations();
    const pending = known.filter((name) => !executed.rows.some((row) => row.name === name));
    if (pending.length > 0) throw migrationsPending(pending);
    const newer = executed.rows.filter((row) => !known.includes(row.name));
    if (newer.length > 0) warnings.push(`The database is ${newer.length} migration(s) ahead of this release.`);
    return warnings;
  } finally {
    await client.end();
  }
}

function judge({ version, extensions, migrated, canAct }: ServerFacts, target: DatabaseTarget): string[] {
  const warnings: string[] = [];
  const major = Math.floor(version / 10_000);
  if (major < 15) {
    throw new ConfigurationError('DB_VERSION_UNSUPPORTED', `PostgreSQL ${major} is too old: use PostgreSQL 15 (DATABASE_URL).`);
  }
  if (major > 15 && !target.embedded) warnings.push(`PostgreSQL ${major} is newer than 15, which is what is tested.`);
  if (!migrated) throw migrationsPending(knownMigrations());
  const missing = EXTENSIONS.filter((name) => !(name in extensions));
  if (missing.length > 0) {
    throw new ConfigurationError(
      'DB_EXTENSION_MISSING',
      `Extensions are missing: ${missing.join(', ')}. Install their packages, then run: npx studently migrate up`,
    );
  }
  const [vectorMajor = 0, vectorMinor = 0] = extensions['vector']!.split('.').map(Number);
  if (vectorMajor === 0 && vectorMinor < 8) {
    throw new ConfigurationError(
      'DB_EXTENSION_TOO_OLD',
      `pgvector ${extensions['vector']} is too old: install 0.8 or newer, then: alter extension vector update`,
    );
  }
  if (!canAct) {
    throw new ConfigurationError(
      'DB_ROLE_MISSING',
      'The login of DATABASE_URL may not act as studently_app and studently_worker. As an administrator: ' +
        'grant studently_app, studently_worker to <login>',
    );
  }
  return warnings;
}

function migrationsPending(names: string[]): ConfigurationError {
  return new ConfigurationError(
    'DB_MIGRATIONS_PENDING',
    `The database is not migrated to this release (${names.join(', ')} pending). Run: npx studently migrate up`,
  );
}
