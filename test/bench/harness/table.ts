import type { Check, Result } from './workload';

export function number(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const HEADINGS = ['workload', 'what', 'measured', 'limit', 'ratio', 'CPU a request', 'goal', 'met'];

/** One row for each check. */
export function rowsOf(results: Result[]): string[][] {
  return results.flatMap(({ workload, cpuMicros, checks }) =>
    checks.map((check: Check, index) => [
      index === 0 ? workload : '',
      check.name,
      `${number(check.value)} ${check.unit}`,
      check.limit === undefined ? '–' : `${number(check.limit)} ${check.unit}`,
      check.ratio === undefined ? '–' : `${check.ratio.toFixed(2)}×`,
      index === 0 && cpuMicros !== null ? `${number(cpuMicros)} µs` : '',
      check.goal,
      check.met ? 'yes' : 'NO',
    ]),
  );
}

/** For a person at a terminal. */
export function tableOf(results: Result[]): string {
  const rows = [HEADINGS, ...rowsOf(results)];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  const loads = results.map(({ workload, loadAverage }) => `${workload} ${loadAverage.toFixed(2)}`).join(', ');
  const [heading, ...rest] = rows.map(line);
  const { runs, seconds } = results[0]!;
  const runsText = `Medians of ${runs} runs of ${seconds} s, in turns. Load average before: ${loads}.`;
  return `${heading}\n${'─'.repeat(heading!.length)}\n${rest.join('\n')}\n\n${runsText}\n`;
}
