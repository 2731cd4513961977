import type { Machine } from '../../bench/harness/machine';
import { isAbove, isBelow, type Difference, type Interval } from './bootstrap';
import type { FusedOffline, Tuning } from './fusion';
import type { Judged } from './judge';

/** What a run has found. */
export interface Report {
  machine: Machine;
  seed: number;
  full: boolean;
  judged: Judged[];
  tuning: Tuning;
  fused: FusedOffline[];
}

export const figure = (value: number) => value.toFixed(3);
export const signed = (value: number) => `${value < 0 ? '−' : '+'}${figure(Math.abs(value))}`;
export const intervalOf = ([from, to]: Interval) => `${figure(from)} … ${figure(to)}`;

const differenceOf = ({ mean, ci95: [from, to] }: Difference) => `${signed(mean)} (${signed(from)} … ${signed(to)})`;

const HEADINGS = ['set', 'method', 'hit@10', 'MRR', 'nDCG@10', '95 % interval', 'hybrid over it', 'questions'];

/** One row for each set and method. */
export function rowsOf(all: readonly Judged[]): string[][] {
  const rows = all.flatMap(({ set, lines, hybridOver }) =>
    lines.map(({ method, hitAt10, mrr, ndcgAt10, ci95, queries }) => [
      set,
      method,
      ...[hitAt10, mrr, ndcgAt10].map(figure),
      intervalOf(ci95),
      method === 'hybrid' ? '' : differenceOf(hybridOver[method]),
      String(queries),
    ]),
  );
  return [HEADINGS, ...rows];
}

/** For a person at a terminal. */
export function tableOf(all: readonly Judged[]): string {
  const rows = rowsOf(all);
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd()); // prettier-ignore
  return `${lines[0]}\n${'─'.repeat(lines[0]!.length)}\n${lines.slice(1).join('\n')}\n`;
}

/** What a set says about hybrid, in a sentence. */
export function reading({ set, better, hybridOver }: Judged): string {
  const other = better === 'text' ? 'vector' : 'text';
  const over = hybridOver[better];
  const verdict = isAbove(over)
    ? `hybrid is better than ${better} alone, the better of its parts`
    : isBelow(over)
      ? `**hybrid is worse than ${better} alone**`
      : `hybrid and ${better} alone, the better of its parts, cannot be told apart on so many questions`;
  const rest = isAbove(hybridOver[other])
    ? `it is better than ${other} alone`
    : `it is not shown to be better than ${other} alone`;
  return `**${set}**: ${verdict}, ${differenceOf(over)}; ${rest}, ${differenceOf(hybridOver[other])}.`;
}
