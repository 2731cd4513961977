import { rmSync } from 'node:fs';

export default async function globalTeardown(): Promise<void> {
  await globalThis.servers?.redis.stop();
  await globalThis.servers?.cluster.stop();
  await globalThis.servers?.postgres.remove();
  for (const name of ['TEST_DATA_DIR', 'TEST_FOLDERS', 'TEST_EMBEDDED_TEMPLATE', 'TEST_CLUSTER', 'TEST_MIGRATED_CLUSTER'])
    if (process.env[name]) rmSync(process.env[name], { recursive: true, force: true });
}
