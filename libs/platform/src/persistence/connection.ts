import type { Options } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Client, type Pool, type PoolClient } from 'pg';

/** Where the database is. An embedded one is PGlite: one backend behind a Unix socket. */
export interface DatabaseTarget {
  /** postgres://… */
  readonly url: string;
  readonly embedded: boolean;
}

/** Token of the target in Nest's container. */
export const DATABASE_TARGET = Symbol('DATABASE_TARGET');

const SECOND = 1000;

/** Each wait of a request has an end: for a lock, for a statement, for an answer of a server that no longer speaks. */
const REQUEST_TIMEOUTS = {
  statement_timeout: 10 * SECOND,
  lock_timeout: 4 * SECOND,
  idle_in_transaction_session_timeout: 15 * SECOND,
  query_timeout: 15 * SECOND,
};

/** How the platform connects. A `patient` connection (migrations) waits for statements as long as they take. */
export function connectionOptions(target: DatabaseTarget, poolSize: number, patient = false) {
  return {
    connectionString: target.url,
    application_name: 'studently',
    max: poolSize,
    idleTimeoutMillis: 30 * SECOND,
    connectionTimeoutMillis: 3 * SECOND,
    keepAlive: true,
    // Statements of one transaction travel without waiting for each other's answers.
    pipeline: true,
    // PGlite has one session for all connections and knows no timeouts.
    ...(target.embedded || patient ? {} : REQUEST_TIMEOUTS),
    // A Unix socket; what PGSSLMODE says is meant for somebody else.
    ...(target.embedded && { ssl: false }),
  };
}

/** The ORM's options. Entities come from the modules that are imported (`MikroOrmModule.forFeature`). */
export function ormOptions(target: DatabaseTarget, poolSize: number, patient = false): Partial<Options<PostgreSqlDriver>> {
  const dbName = decodeURIComponent(new URL(target.url).pathname.slice(1)) || 'postgres';
  return {
    driver: PostgreSqlDriver,
    dbName,
    driverOptions: { ...connectionOptions(target, poolSize, patient), onPoolCreated: closeWhatIsNotGivenBack },
    extensions: [Migrator],
    // Values of failed statements may be personal data: nothing of them may reach a log.
    logger: () => undefined,
    discovery: { warnWhenNoEntities: false },
    forceUtcTimezone: true,
    ensureDatabase: false,
  };
}

/**
 * Kysely never gives back a connection whose BEGIN or ROLLBACK has failed: a few lost connections would use
 * up the pool for good. Such a connection is closed instead, and its place is free.
 */
function closeWhatIsNotGivenBack(pool: Pool): void {
  pool.on('connect', (connection: PoolClient) => {
    const { prototype } = Client as unknown as { prototype: { query: (...args: unknown[]) => unknown } };
    const query = (...args: unknown[]): unknown => prototype.query.apply(connection, args);
    const queryOrClose = async (...args: unknown[]): Promise<unknown> => {
      try {
        return await query(...args);
      } catch (error) {
        connection.release(error as Error);
        throw error;
      }
    };
    connection.query = (...args: unknown[]) =>
      (args[0] === 'begin' || args[0] === 'rollback' ? queryOrClose : query)(...args) as never;
  });
}
