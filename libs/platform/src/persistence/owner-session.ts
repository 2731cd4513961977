import type { Client, QueryResultRow } from 'pg';
import { ConfigurationError } from '../config/config';
import { ADVISORY_LOCKS } from './advisory-locks';
import type { DatabaseTarget } from './connection';
import { openConnection } from './open-connection';

/** A login, or a database, may have ends of waits that are meant for requests. */
const ENDLESS = 'set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0';

/**
 * A session as the role that owns the tables, for what cannot be part of a transaction (VACUUM, REINDEX CONCURRENTLY): by the login of
 * migrations. The server goes on with a statement whose client has died, and so does the session's lock: nobody else begins before its end.
 */
export class OwnerSession {
  /** What the server has remarked, beside its answers. */
  readonly notices: string[] = [];

  private constructor(
    readonly target: DatabaseTarget,
    private readonly client: Client,
    private readonly pid: number,
  ) {
    client.on('notice', ({ message }) => this.notices.push(message ?? ''));
  }

  /** @throws ConfigurationError if it cannot connect, or may not act as the owner. @throws Error if maintenance runs already */
  static async run<T>(target: DatabaseTarget, work: (session: OwnerSession) => Promise<T>): Promise<T> {
    const client = await openConnection(target, { patient: true });
    try {
      const pid = target.embedded ? 0 : await own(client);
      return await work(new OwnerSession(target, client, pid));
    } finally {
      await client.end();
    }
  }

  async query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.client.query<Row & QueryResultRow>(sql, [...values])).rows;
  }

  /** A statement that takes no parameters, and perhaps long. */
  async execute(sql: string): Promise<void> {
    await this.client.query(sql);
  }

  /** Ends the statement that is under way: who waits for it is told by an error. */
  async cancel(): Promise<void> {
    if (this.target.embedded) return;
    const other = await openConnection(this.target);
    try {
      await other.query('select pg_cancel_backend($1)', [this.pid]);
    } finally {
      await other.end();
    }
  }
}

const NOT_ALLOWED = '42501';

/** For `set role studently_owner`. @throws ConfigurationError `DB_OWNER_REFUSED` that says what to do; other errors as they are */
export function refuseLogin(error: Error & { code?: string }): never {
  if (error.code !== NOT_ALLOWED) throw error;
  throw new ConfigurationError(
    'DB_OWNER_REFUSED',
    `The login of DATABASE_MIGRATION_URL (else DATABASE_URL) may not act as studently_owner (${error.message}). ` +
      'Set DATABASE_MIGRATION_URL to the login for migrations: studently_migrator, if deploy/postgres/logins.sh has made the logins.',
  );
}

/** An embedded database has one session for everybody: there a role would stay, and the login may do everything as it is. */
async function own(client: Client): Promise<number> {
  await client.query('set role studently_owner').catch(refuseLogin);
  await client.query(ENDLESS);
  const { rows } = await client.query<{ pid: number; held: boolean }>(
    'select pg_backend_pid() as pid, pg_try_advisory_lock($1) as held',
    [ADVISORY_LOCKS.maintenance],
  );
  if (!rows[0]!.held) {
    throw new Error('Maintenance of this database runs already: wait for its end (select * from pg_stat_activity shows it).');
  }
  return rows[0]!.pid;
}
