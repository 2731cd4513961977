import type { Doing } from '@studently/platform';
import { SingleBar } from 'cli-progress';

/** Runs long work: shows on a terminal how far it is, and ends it in order where the process is asked to end. */
export async function working<T>(work: (doing: Doing) => Promise<T>, isQuiet: boolean): Promise<T> {
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ending.abort());
  if (isQuiet || !process.stderr.isTTY) return work({ signal: ending.signal });
  const bar = new SingleBar({ format: '{bar} {percentage}% | {what}', gracefulExit: false, barsize: 30 });
  bar.start(100, 0, { what: '' });
  try {
    return await work({ signal: ending.signal, steps: (what, share = 1) => bar.update(Math.floor(100 * share), { what }) });
  } finally {
    bar.stop();
  }
}
