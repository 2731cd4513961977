import 'reflect-metadata';
import { createClient } from 'redis4';
import { DATABASE, startApi, startServers, startWorker } from '../support/platform';
import { withClient } from '../support/servers';
import { lookForCanaries } from './encryption/canaries';
import { rotateUnderLoad } from './encryption/rotation';
import { swapInRows, swapInMemory } from './encryption/swaps';
import type { TortureContext } from './harness/torture';

export const promise =
  'ciphertexts that were changed, cut or moved to another row, column, table or learner never open; keys change under load without a failed read; what is sealed is nowhere to be read in data folder, WAL, Redis or logs';
export const ops = 10_000;
export const shortOps = 200;

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const { postgres, redis, settings } = await startServers(context);
  const client = createClient({ url: redis.url });
  await client.connect();
  await client.configSet({ appendonly: 'yes', appendfsync: 'always' });
  const redisFolder = (await client.configGet('dir'))['dir']!;
  await client.disconnect();
  const adminUrl = postgres.url(DATABASE);
  const talkative = { ...settings, LOG_LEVEL: 'trace', LOG_ACCESS: 'true' };
  const api = await startApi(context, talkative);
  const worker = await startWorker(context, talkative);

  context.progress('swaps');
  await swapInMemory(context);
  const swappedRows = await withClient(adminUrl, (admin) => swapInRows(context, api.url, admin));
  context.progress('canaries');
  const canaries = await lookForCanaries(context, { api, worker, adminUrl, redisFolder });
  if (context.ops < ops) return { swappedRows, ...canaries }; // in short, keys change under load in e2e/keys
  context.progress('rotation');
  const rotation = await rotateUnderLoad(context, adminUrl, api, settings);
  return { swappedRows, ...canaries, ...rotation };
}
