import { DATABASE, startServers } from '../support/platform';
import { startPgBouncer } from '../support/servers';
import type { TortureContext } from './harness/torture';
import { attackPool } from './rls.torture';

export const promise =
  'the requests of `rls` behind PgBouncer in transaction mode, where 8 connections of the API share 4 of PostgreSQL, see only rows of who asks and all that is published, which nobody else changes';
export const ops = 100_000;
export const shortOps = 2000;

const CONNECTIONS = 4;

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const { postgres, settings } = await startServers(context);
  const pooler = await context.use(
    () => startPgBouncer(postgres.url(DATABASE), { default_pool_size: String(CONNECTIONS) }),
    (server) => server.stop(),
  );
  return attackPool(context, postgres.url(DATABASE), pooler.through(settings['DATABASE_URL']!), CONNECTIONS);
}
