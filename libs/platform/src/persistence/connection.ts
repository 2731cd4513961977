import type { Duplex } from 'node:stream';
import type { Options } from '@mikro-orm/core';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Client, type ClientBase, type Pool, type PoolClient } from 'pg';
import type { StatementWatch } from '../statements/statement-watch';
import { separateTls, withoutTls } from './database-tls';

/** Where the database is. An embedded one is PGlite: one backend behind a Unix socket. */
export interface DatabaseTarget {
  /** postgres://… */
  readonly url: string;
  readonly embedded: boolean;
  /** The address as it is now, for a new connection: another login or password takes over without a restart. Does not throw. */
  readonly current?: () => string;
}

/** Token of the target in Nest's container. */
export const DATABASE_TARGET = Symbol('DATABASE_TARGET');

const SECOND = 1000;
/** Afterwards nobody uses a login any more that was replaced. */
const LONGEST_CONNECTION_SECONDS = 600;

/** For a connection of the pool, for a new one to open, and for a transaction to begin, which no healthy server takes long for. */
const READY_MS = 2 * SECOND;

/**
 * Each wait of a request has an end, within 5 s: for a lock, for a statement, for an answer of a server that no longer speaks. The
 * server gives up before the client does, so that the connection remains of use. Who has begun and is silent may not hold locks for long.
 * Behind a pooler the login brings the server's part of it (deploy/postgres/logins.sh).
 */
export const SERVER_TIMEOUTS = {
  lock_timeout: 3 * SECOND,
  statement_timeout: 4 * SECOND,
  idle_in_transaction_session_timeout: 5 * SECOND,
};
const ANSWER_TIMEOUT = { query_timeout: 4.5 * SECOND };

/** How the platform connects. A `patient` connection (migrations) waits for statements as long as they take. */
export function connectionOptions(target: DatabaseTarget, poolSize: number, patient = false) {
  return {
    ...separateTls(addressOf(target)),
    application_name: 'studently',
    max: poolSize,
    idleTimeoutMillis: 30 * SECOND,
    maxLifetimeSeconds: LONGEST_CONNECTION_SECONDS,
    // PGlite does one thing after another: to wait in line there says nothing.
    connectionTimeoutMillis: target.embedded ? 2 * READY_MS : READY_MS,
    keepAlive: true,
    // Statements of one transaction travel without waiting for each other's answers.
    pipeline: true,
    // PGlite has one session for all connections and knows no timeouts.
    ...(target.embedded || patient ? {} : { ...SERVER_TIMEOUTS, ...ANSWER_TIMEOUT }),
    // A Unix socket; what PGSSLMODE says is meant for somebody else.
    ...(target.embedded && { ssl: false }),
  };
}

/** The ORM's options. Entities come from the modules that are imported (`MikroOrmModule.forFeature`). */
export function ormOptions(
  target: DatabaseTarget,
  poolSize: number,
  patient = false,
  watch?: StatementWatch,
): Partial<Options<PostgreSqlDriver>> {
  const dbName = decodeURIComponent(new URL(target.url).pathname.slice(1)) || 'postgres';
  return {
    driver: PostgreSqlDriver,
    dbName,
    driverOptions: {
      ...connectionOptions(target, poolSize, patient),
      onPoolCreated: (pool: Pool) => prepare(pool, target, watch),
    },
    // Values of failed statements may be personal data: nothing of them may reach a log.
    logger: () => undefined,
    discovery: { warnWhenNoEntities: false },
    forceUtcTimezone: true,
    ensureDatabase: false,
  };
}

function prepare(pool: Pool, target: DatabaseTarget, watch?: StatementWatch): void {
  pool.on('connect', (connection) => {
    openAndClose(connection, target.embedded);
    watch?.watch(connection);
  });
  if (!target.embedded) Object.assign(pool.options, { onConnect: refuseStandby });
  currently(pool, target);
}

/** Each new connection is opened by the address as it is then. */
export function currently(pool: Pool, target: DatabaseTarget): void {
  Object.defineProperty(pool.options, 'connectionString', {
    enumerable: true,
    get: () => withoutTls(addressOf(target)),
  });
}

const addressOf = ({ url, current }: DatabaseTarget): string => current?.() ?? url;

/** A statement would have written, where nothing can be. */
const READ_ONLY = '25006';

/**
 * Where a name or an address leads to another server than before, that one may still be a standby: it cannot write, and what it shows may
 * be older than what readers were promised. For each new connection, before it is used.
 * @throws an error that means DatabaseUnavailable
 */
export async function refuseStandby(client: ClientBase): Promise<void> {
  const asked = { text: 'select pg_is_in_recovery() as standby', query_timeout: READY_MS };
  const { rows } = await client.query<{ standby: boolean }>(asked);
  if (rows[0]!.standby) throw Object.assign(new Error('This server is a standby.'), { code: READ_ONLY });
}

/** What a statement answers that has only been sent. */
const SENT = { command: '', rowCount: 0, rows: [] };

/** Before the last statement of a transaction: its commit travels with it. Nothing may come between its answer and the commit. */
export const LAST = '/* and commit */ ';

/**
 * Four things that Kysely does not do. A transaction is opened (begin, and whom it acts for) in one message with its first
 * statement, whose answer counts only if the opening succeeded: two round trips less for each command. It is committed in one message with
 * its last statement: one less, and rows are locked for less long. Had that statement failed, the server has rolled back. And a connection whose
 * ROLLBACK has failed is closed: Kysely never gives it back, and a few lost connections would use up the pool for good.
 * So is one that may not write any more: the next leads to whoever may.
 * A connection whose other end is gone is found out when a transaction begins on it; PGlite has one session, where that may have to wait.
 */
function openAndClose(connection: PoolClient, embedded: boolean): void {
  const { prototype } = Client as unknown as { prototype: { query: (...args: unknown[]) => Promise<unknown> } };
  const { stream } = (connection as unknown as { connection: { stream: Duplex } }).connection;
  const query = (...args: unknown[]) => prototype.query.apply(connection, args);
  const querySoon = (text: string) => query(embedded ? text : { text, query_timeout: READY_MS });
  const closedUnless = (rolledBack: Promise<unknown>) =>
    rolledBack.catch((error: unknown) => {
      connection.release(error as Error);
      throw error;
    });
  const corkForNow = () => {
    stream.cork();
    process.nextTick(() => stream.uncork());
  };
  let begins = false;
  let opening: Promise<unknown> | undefined;
  let ending: Promise<unknown> | undefined;
  const queryAsNeeded = (...args: unknown[]) => {
    const [text] = args;
    if (ending) {
      const ended = ending;
      ending = undefined;
      if (text === 'commit') return ended;
      if (text === 'rollback') return closedUnless(ended);
      throw new Error('This transaction has had its last statement.');
    }
    if (text === 'begin') {
      begins = true;
      return Promise.resolve(SENT);
    }
    if (begins) {
      begins = false;
      const isContext = typeof text === 'string' && text.startsWith('set local role ');
      corkForNow(); // the first statement mostly comes at once
      opening = querySoon(isContext ? `begin; ${text}` : 'begin');
      opening.catch(() => undefined); // the first statement tells
      if (isContext) return Promise.resolve(SENT);
    }
    const isBegin = typeof text === 'string' && text.startsWith('begin');
    const isLast = typeof text === 'string' && text.startsWith(LAST);
    if (isLast) corkForNow();
    const answer = text === 'rollback' ? closedUnless(querySoon(text)) : isBegin ? querySoon(text) : query(...args);
    if (isLast) {
      ending = query('commit');
      ending.catch(() => undefined); // whoever commits or rolls back is told
    }
    // Nobody gets it any more. What is sent yet is answered before it is closed.
    if (answer instanceof Promise) {
      answer.catch((error: unknown) => isReadOnly(error) && void (connection as unknown as Client).end());
    }
    if (!opening) return answer;
    const opened = opening;
    opening = undefined;
    answer.catch(() => undefined); // it fails as well where the opening has
    return opened.then(() => answer);
  };
  connection.query = queryAsNeeded as never;
}

const isReadOnly = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === READ_ONLY;
