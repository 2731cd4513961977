import { Client } from 'pg';
import { ConfigurationError } from '../config/config';
import { tlsAdvice, tlsFaultOf } from '../security/tls-faults';
import { connectionOptions, type DatabaseTarget } from './connection';

/** A start that cannot reach its database fails at once; the orchestrator tries again. */
const CONNECT_TIMEOUT_MS = 5000;

/**
 * One connection of its own. A `patient` one is for work on the database itself: it waits for statements as long as they take, and its locks
 * and its role are the session's. So it has to be a session: behind a pooler they would be left on a connection of somebody else.
 * @throws ConfigurationError `DATABASE_UNREACHABLE`, `DATABASE_TLS_…` or `DATABASE_POOLED`, which says what to do
 */
export async function openConnection(target: DatabaseTarget, { patient = false } = {}): Promise<Client> {
  const client = new Client({ ...connectionOptions(target, 1, patient), connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on('error', () => undefined); // whoever waits for an answer is told
  try {
    await client.connect();
  } catch (error) {
    throw connectionFault(error as Error, target);
  }
  if (patient && !target.embedded) await refusePooler(client, target);
  return client;
}

/** A pooler invents the process id that it tells; a server tells its own. */
async function refusePooler(client: Client, target: DatabaseTarget): Promise<void> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  if (rows[0]!.pid === (client as unknown as { processID: number }).processID) return;
  await client.end();
  throw new ConfigurationError(
    'DATABASE_POOLED',
    `${serverOf(target)} is a pooler: give DATABASE_MIGRATION_URL the address of PostgreSQL itself.`,
  );
}

function serverOf({ url }: DatabaseTarget): string {
  const { hostname, port } = new URL(url);
  return `The database at ${hostname}:${port || 5432}`;
}

function connectionFault(error: Error, target: DatabaseTarget): ConfigurationError {
  const server = serverOf(target);
  const fault = tlsFaultOf(error);
  if (fault) return new ConfigurationError(`DATABASE_TLS_${fault}`, tlsAdvice(fault, server, 'sslrootcert of DATABASE_URL'));
  if ('code' in error && error.code === '28000' && error.message.endsWith('no encryption')) {
    return new ConfigurationError(
      'DATABASE_TLS_REQUIRED',
      `${server} takes encrypted connections only: add sslmode=verify-full and sslrootcert=<file of its authority> to DATABASE_URL.`,
    );
  }
  return new ConfigurationError(
    'DATABASE_UNREACHABLE',
    `${server} does not let us in (${error.message}): check DATABASE_URL and that it runs.`,
  );
}
