import { rmSync } from 'node:fs';

export default async function globalTeardown(): Promise<void> {
  await globalThis.servers?.redis.stop();
  await globalThis.servers?.cluster.stop();
  await globalThis.servers?.postgres.remove();
  rmSync(process.env['TEST_DATA_DIR']!, { recursive: true, force: true });
}
