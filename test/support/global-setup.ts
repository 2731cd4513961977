import 'reflect-metadata';
// By path: Jest maps no names here.
import { Migrations } from '../../libs/platform/src/persistence/migrations';
import { missingServers, startPostgres, startRedis, withClient, type PostgresServer, type RedisServer } from './servers';

declare global {
  var servers: { postgres: PostgresServer; redis: RedisServer } | undefined;
}

/** One PostgreSQL cluster with a migrated template database and one Redis for the whole run. */
export default async function globalSetup(): Promise<void> {
  const missing = missingServers();
  if (missing.length > 0) {
    if (process.env['CI'] === 'true') throw new Error(`CI has to test against real servers; missing: ${missing.join(', ')}`);
    process.stdout.write(
      `\nLeft out: what needs PostgreSQL 15, pgvector and Redis 7 (missing: ${missing.join(', ')}). ` +
        'To run it too: sudo scripts/provision-debian.sh\n',
    );
    return;
  }
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  globalThis.servers = { postgres, redis };
  const template = 'studently_template';
  await withClient(postgres.url('postgres'), (client) => client.query(`create database ${template}`));
  await new Migrations({ url: postgres.url(template), embedded: false }).up();
  await withClient(postgres.url('postgres'), (client) =>
    client.query(`grant studently_app, studently_worker to studently_login; alter database ${template} is_template true`),
  );
  process.env['TEST_POSTGRES_URL'] = postgres.url('postgres');
  process.env['TEST_APP_URL'] = postgres.appUrl('postgres');
  process.env['TEST_REDIS_URL'] = redis.url;
}
