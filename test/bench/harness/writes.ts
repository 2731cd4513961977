import type { ApiProcess } from '../../support/api-process';
import { withClient } from '../../support/servers';
import type { BenchContext } from './context';
import { DATABASE, startApi, type Platform } from '../../support/platform';

export async function assertDurable({ postgres }: Platform): Promise<void> {
  const { rows } = await withClient(postgres.url(DATABASE), (client) =>
    client.query<{ durable: boolean }>(
      `select bool_and(setting = 'on') as durable from pg_settings where name in ('fsync', 'synchronous_commit', 'full_page_writes')`,
    ),
  );
  if (!rows[0]!.durable) throw new Error('This PostgreSQL does not wait for the disk');
}

/**
 * A copy of the database for the limit, which no relay empties meanwhile. The API has to be away while it is made.
 * @returns the copy's address, and the API started again
 */
export async function copyDatabase(context: BenchContext, servers: Platform, api: ApiProcess) {
  const copy = 'bench_limit';
  await untilRelayed(servers);
  await api.stop();
  await withClient(servers.postgres.url('postgres'), (client) => client.query(`create database ${copy} template ${DATABASE}`));
  return { url: servers.postgres.url(copy), restarted: await startApi(context, servers.settings) };
}

/** Waits until the relay has delivered everything, which would take CPU from whoever is next. @returns what was left */
export async function untilRelayed({ postgres }: Platform): Promise<number> {
  return withClient(postgres.url(DATABASE), async (client) => {
    let first: number | undefined;
    for (;;) {
      const { rows } = await client.query<{ left: number }>('select count(*)::int as left from outbox');
      first ??= rows[0]!.left;
      if (rows[0]!.left === 0) return first;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
}
