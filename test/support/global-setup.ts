import 'reflect-metadata';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCommonPasswords } from './common-passwords';
import { RedisCluster } from './redis-cluster';
import { studently } from './studently';
import {
  copyCluster,
  makeCluster,
  missingServers,
  startPostgres,
  startRedis,
  withClient,
  type PostgresServer,
  type RedisServer,
} from './servers';
import { makeDatabase, TEMPLATE } from './platform';

declare global {
  var servers: { postgres: PostgresServer; redis: RedisServer; cluster: RedisCluster } | undefined;
}

/**
 * One PostgreSQL cluster with a migrated template database, copies of it to start others from, one migrated embedded database to copy, one Redis, one Redis Cluster and
 * one place of keys for the whole run.
 */
export default async function globalSetup(): Promise<void> {
  buildCommonPasswords();
  process.env['TEST_DATA_DIR'] = mkdtempSync(join(tmpdir(), 'studently-keys-'));
  process.env['TEST_FOLDERS'] = mkdtempSync(join(tmpdir(), 'studently-folders-'));
  await migrateEmbedded((process.env['TEST_EMBEDDED_TEMPLATE'] = mkdtempSync(join(tmpdir(), 'studently-template-'))));
  const missing = missingServers();
  if (missing.length > 0) {
    if (process.env['CI'] === 'true') throw new Error(`CI has to test against real servers; missing: ${missing.join(', ')}`);
    process.stdout.write(
      `\nLeft out: what needs PostgreSQL 15, pgvector, Redis 7, PgBouncer, pgBackRest, Patroni, etcd and HAProxy (missing: ${missing.join(', ')}). ` +
        'To run it too: sudo scripts/provision-debian.sh\n',
    );
    return;
  }
  process.env['TEST_CLUSTER'] = makeCluster();
  const [postgres, redis, cluster] = await Promise.all([startMigrated(), startRedis(), RedisCluster.start()]);
  globalThis.servers = { postgres, redis, cluster };
  process.env['TEST_POSTGRES_URL'] = postgres.url('postgres');
  process.env['TEST_APP_URL'] = postgres.appUrl('postgres');
  process.env['TEST_REDIS_URL'] = redis.url;
  process.env['TEST_REDIS_CLUSTER_URL'] = cluster.url;
}

/** A cluster with the template database; a copy of it is left for whoever needs one of its own. */
async function startMigrated(): Promise<PostgresServer> {
  const postgres = await startPostgres({ fsync: 'off' }); // what tests write need not outlast this machine
  await makeDatabase(postgres, TEMPLATE);
  await withClient(postgres.url('postgres'), (client) => client.query(`alter database ${TEMPLATE} is_template true`));
  await postgres.stop();
  process.env['TEST_MIGRATED_CLUSTER'] = copyCluster(postgres.folder);
  return postgres.restart();
}

async function migrateEmbedded(folder: string): Promise<void> {
  const { code, err } = await studently({ STUDENTLY_DATA_DIR: folder }, 'migrate', 'up');
  if (code !== 0) throw new Error(`The embedded database was not migrated:\n${err}`);
}
