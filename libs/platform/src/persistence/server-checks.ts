import { ConfigurationError } from '../config/config';
import { SERVER_TIMEOUTS, type DatabaseTarget } from './connection';
import { knownMigrations } from '../migrations/migrations';
import { openConnection } from './open-connection';

const EXTENSIONS = ['vector', 'uuid-ossp', 'pg_stat_statements', 'pg_trgm'];

interface ServerFacts {
  version: number;
  standby: boolean;
  extensions: Record<string, string>;
  migrated: boolean;
  canAct: boolean;
  endless: string[];
}

const FACTS = `
  select current_setting('server_version_num')::int as version,
         pg_is_in_recovery() as standby,
         (select coalesce(jsonb_object_agg(extname, extversion), '{}') from pg_extension) as extensions,
         to_regclass('public.studently_migrations') is not null as migrated,
         coalesce((select bool_and(pg_has_role(oid, 'member')) and count(*) = 2 from pg_roles
                   where rolname in ('studently_app', 'studently_worker')), false) as "canAct",
         array(select name from pg_settings where name = any('{${Object.keys(SERVER_TIMEOUTS).join(',')}}') and setting = '0' order by 1) as endless`;

/**
 * Refuses a database that this release cannot work with, with one message that says what to do.
 * @returns warnings about what works but is not what is tested
 * @throws ConfigurationError `DATABASE_UNREACHABLE`, `DATABASE_TLS_…`, `DB_VERSION_UNSUPPORTED`,
 *   `DATABASE_IS_STANDBY`, `DB_EXTENSION_MISSING`, `DB_EXTENSION_TOO_OLD`, `DB_ROLE_MISSING`, `DB_TIMEOUTS_MISSING` or `DB_MIGRATIONS_PENDING`
 */
export async function checkServer(target: DatabaseTarget): Promise<string[]> {
  const client = await openConnection(target);
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

function judge({ version, standby, extensions, migrated, canAct, endless }: ServerFacts, target: DatabaseTarget): string[] {
  const warnings: string[] = [];
  const major = Math.floor(version / 10_000);
  if (major < 15) {
    throw new ConfigurationError('DB_VERSION_UNSUPPORTED', `PostgreSQL ${major} is too old: use PostgreSQL 15 (DATABASE_URL).`);
  }
  if (standby) {
    throw new ConfigurationError(
      'DATABASE_IS_STANDBY',
      'DATABASE_URL leads to a standby: give it the address that always leads to the primary, or wait until this one has taken over.',
    );
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
  if (endless.length > 0 && !target.embedded) {
    throw new ConfigurationError(
      'DB_TIMEOUTS_MISSING',
      `Waits have no end: a pooler does not pass on ${endless.join(', ')}. As an administrator give them to the login of ` +
        'DATABASE_URL, as deploy/postgres/logins.sh does: alter role <login> set …',
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
