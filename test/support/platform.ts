import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { ApiProcess } from './api-process';
import { buildCommonPasswords } from './common-passwords';
import { missingServers, startPostgres, startRedis, withClient, type PostgresServer, type RedisServer } from './servers';
import type { Workspace } from './workspace';

export const DATABASE = 'platform';
/** Of a test run: migrated, to be copied. */
export const TEMPLATE = 'studently_template';

type Context = Workspace & { progress(text: string): void };

export interface Platform {
  postgres: PostgresServer;
  redis: RedisServer;
  /** What the served API needs in its environment. */
  settings: NodeJS.ProcessEnv;
}

/** A migrated database, and the login that acts as the API and as the worker. */
export async function makeDatabase(postgres: PostgresServer, name: string): Promise<void> {
  await withClient(postgres.url('postgres'), async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [TEMPLATE]);
    if (rowCount === 1) return client.query(`create database ${name} template ${TEMPLATE}`);
    await client.query(`create database ${name}`);
    await new Migrations({ url: postgres.url(name), embedded: false }).up();
    return client.query('grant studently_app, studently_worker to studently_login');
  });
}

/** PostgreSQL with a migrated database, and Redis: this run's own. */
export async function startServers(context: Context): Promise<Platform> {
  buildCommonPasswords();
  const missing = missingServers();
  if (missing.length > 0) throw new Error(`Missing: ${missing.join(', ')}. To get them: sudo scripts/provision-debian.sh`);
  context.progress('  starting PostgreSQL and Redis');
  const [postgres, redis] = await Promise.all([
    context.use(
      () => startPostgres({}, process.env['TEST_MIGRATED_CLUSTER']),
      (server) => server.remove(),
    ),
    context.use(startRedis, (server) => server.stop()),
  ]);
  await makeDatabase(postgres, DATABASE);
  const settings = { DATABASE_URL: postgres.appUrl(DATABASE), REDIS_URL: redis.url, LOG_ACCESS: 'false' };
  return { postgres, redis, settings };
}

/** The built API as a process of its own, or that of another release. */
export function startApi(context: Context, settings: NodeJS.ProcessEnv, dist?: string): Promise<ApiProcess> {
  return context.use(
    () => ApiProcess.start({ NODE_ENV: 'production', ...settings }, 'api', dist),
    (api) => api.stop('SIGKILL'),
  );
}

/** The built worker beside it: what the API leaves behind is done by it. */
export function startWorker(context: Context, settings: NodeJS.ProcessEnv): Promise<ApiProcess> {
  return context.use(
    () => ApiProcess.start({ NODE_ENV: 'production', ...settings }, 'worker'),
    (worker) => worker.stop('SIGKILL'),
  );
}
