import { loadSettings, RedisConnections } from '@studently/platform';

/** Connections as the application's own to the cluster that the whole run shares. */
export async function connectToCommonCluster() {
  const url = process.env['TEST_REDIS_CLUSTER_URL']!;
  const settings = loadSettings({ DATABASE_URL: 'postgres://unused/unused', REDIS_MODE: 'cluster', REDIS_URL: url });
  const connections = new RedisConnections(settings);
  const opened = { client: connections.to(url), cluster: connections.toCluster(url) };
  await connections.checkVersions();
  return { ...opened, close: () => connections.onApplicationShutdown() };
}
