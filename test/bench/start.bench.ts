import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchContext } from './harness/context';
import { median } from './harness/interleave';
import { startApi, startServers } from '../support/platform';
import { atMost, type Measured } from './harness/workload';

export const name = 'start';
export const goal = 'ready after: served ≤ 2 s; embedded, once built: first start with sample cards ≤ 10 s, next ≤ 3 s';

type Kind = 'served' | 'embedded, first start' | 'embedded, next start';

/** From the start of the process until GET /health/ready answers 200, in seconds. */
export async function run(context: BenchContext): Promise<Measured> {
  const { settings } = await startServers(context);
  const times: Record<Kind, number[]> = { served: [], 'embedded, first start': [], 'embedded, next start': [] };
  const measure = async (kind: Kind, environment: NodeJS.ProcessEnv, run: number) => {
    const seconds = await secondsToReady(context, environment);
    if (run > 0) times[kind].push(seconds); // the first fills the disk cache
    context.progress(`  ${run}/${context.runs} ${kind.padEnd(22)} ${seconds.toFixed(2)} s`);
  };
  for (let run = 0; run <= context.runs; run++) {
    const folder = mkdtempSync(join(context.folder, 'embedded-'));
    const embedded = { STUDENTLY_DATA_DIR: folder, STUDENTLY_SAMPLE: 'on' };
    await measure('served', settings, run);
    await measure('embedded, first start', embedded, run);
    await measure('embedded, next start', embedded, run);
    rmSync(folder, { recursive: true });
  }
  return {
    perRun: 'one start each',
    checks: [
      atMost('served', median(times.served), 's', 2),
      atMost('embedded, first start', median(times['embedded, first start']), 's', 10),
      atMost('embedded, next start', median(times['embedded, next start']), 's', 3),
    ],
  };
}

async function secondsToReady(context: BenchContext, environment: NodeJS.ProcessEnv): Promise<number> {
  const start = performance.now();
  const api = await startApi(context, environment);
  const { status } = await fetch(`${api.url}/health/ready`);
  const seconds = (performance.now() - start) / 1000;
  if (status !== 200) throw new Error(`/health/ready answered ${status}`);
  await api.stop();
  return seconds;
}
