import type { BenchContext } from './context';

/** Figures of one run, or the medians of several. */
export type Figures = Record<string, number>;

const WARM_UP_SECONDS = 3;

/**
 * Measures contenders in turns, so that whatever else the machine does meets all of them: A B, B A, A B …
 * after one run each that does not count.
 * @returns the median of every figure
 */
export async function interleave<Contenders extends Record<string, (seconds: number) => Promise<Figures>>>(
  context: BenchContext,
  contenders: Contenders,
): Promise<{ [Name in keyof Contenders]: Awaited<ReturnType<Contenders[Name]>> }> {
  const names = Object.keys(contenders);
  const measured = new Map(names.map((name) => [name, [] as Figures[]]));
  for (const name of names) await contenders[name]!(Math.min(WARM_UP_SECONDS, context.seconds));
  for (let run = 1; run <= context.runs; run++) {
    for (const name of run % 2 === 1 ? names : names.toReversed()) {
      const figures = await contenders[name]!(context.seconds);
      measured.get(name)!.push(figures);
      const text = Object.entries(figures).map(([key, value]) => `${key} ${Math.round(value * 100) / 100}`);
      context.progress(`  ${run}/${context.runs} ${name.padEnd(10)} ${text.join('  ')}`);
    }
  }
  return Object.fromEntries([...measured].map(([name, runs]) => [name, mediansOf(runs)])) as never;
}

function mediansOf(runs: Figures[]): Figures {
  const keys = Object.keys(runs[0]!);
  return Object.fromEntries(keys.map((key) => [key, median(runs.map((run) => run[key]!))]));
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** @param sorted ascending */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}
