import { number } from './table';
import type { Saved } from './workload';

export const INK = '#1f2937';
export const QUIET = '#6b7280';
export const LINES = '#e5e7eb';
export const MET = '#2f7d5b';
export const MISSED = '#c2571a';
export const LIMIT = '#9ca3af';
export const PLATFORM = '#2563a8';

export const WIDTH = 760;
const LEFT = 200;
const RIGHT = 620;
const ROW = 30;

const LATENCY = 'Under that load: platform blue, limit grey. Dashed: the goal, where there is one.';

/** For the text of an SVG. */
export const escaped = (value: string) => value.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

interface TextStyle {
  size?: number;
  color?: string;
  anchor?: 'start' | 'end' | 'middle';
  bold?: boolean;
}

export function text(x: number, y: number, value: string, { size = 13, color = INK, anchor = 'start', bold }: TextStyle = {}) {
  const weight = bold ? ' font-weight="600"' : '';
  return `<text x="${x}" y="${y}" font-size="${size}" fill="${color}" text-anchor="${anchor}"${weight}>${escaped(value)}</text>`;
}

export interface Bar {
  label: string;
  value: number;
  shown: string;
  /** Where the goal's line stands. */
  goal?: number;
  /** Where the value may be. */
  interval?: [from: number, to: number];
  color: string;
}

export type Panel = [title: string, subtitle: string, bars: Bar[]];

/** A panel of horizontal bars from zero. @returns the drawing and where it ends */
function panel(top: number, title: string, subtitle: string, bars: Bar[]): [svg: string, bottom: number] {
  const most = 1.08 * Math.max(...bars.flatMap(({ value, goal = 0, interval = [0, 0] }) => [value, goal, interval[1]]));
  const x = (value: number) => LEFT + (value / most) * (RIGHT - LEFT);
  const parts = [text(24, top, title, { size: 15, bold: true }), text(24, top + 19, subtitle, { size: 12, color: QUIET })];
  bars.forEach(({ label, value, shown, goal, interval, color }, index) => {
    const y = top + 34 + index * ROW;
    const length = Math.max(1, x(value) - LEFT).toFixed(1);
    parts.push(
      text(LEFT - 10, y + 16, label, { anchor: 'end' }),
      `<rect x="${LEFT}" y="${y + 2}" width="${(RIGHT - LEFT).toFixed(1)}" height="20" rx="3" fill="${LINES}" opacity="0.45"/>`,
      `<rect x="${LEFT}" y="${y + 2}" width="${length}" height="20" rx="3" fill="${color}"/>`,
      text(RIGHT + 12, y + 16, shown, { bold: true }),
    );
    if (goal !== undefined) {
      const at = x(goal).toFixed(1);
      parts.push(
        `<line x1="${at}" x2="${at}" y1="${y - 2}" y2="${y + 26}" stroke="${INK}" stroke-width="2" stroke-dasharray="3 2"/>`,
      );
    }
    if (interval) parts.push(whisker(x(interval[0]), x(interval[1]), y + 12));
  });
  return [parts.join('\n'), top + 34 + bars.length * ROW + 30];
}

/** From here to there, with an end at either. */
export function whisker(from: number, to: number, y: number): string {
  const [left, right] = [from.toFixed(1), to.toFixed(1)];
  return `<path d="M${left} ${y - 5}v10M${left} ${y}H${right}M${right} ${y - 5}v10" fill="none" stroke="${INK}" stroke-width="1.5"/>`;
}

const goalOf = (goal: string) => Number(/[\d.]+/.exec(goal)?.[0]);
const colorOf = (met: boolean) => (met ? MET : MISSED);

const ratioBars = (results: Saved[]): Bar[] =>
  results.flatMap(({ workload, checks }) =>
    checks
      .filter((check) => check.ratio !== undefined)
      .map(({ ratio = 0, goal, met }) => ({
        label: workload,
        value: ratio,
        shown: `${ratio.toFixed(2)}×`,
        goal: goalOf(goal),
        color: colorOf(met),
      })),
  );

/** Each workload has a scale of its own: they lie between a millisecond and a hundred. */
function latencyPanels(results: Saved[]): Panel[] {
  const bar = (label: string, value: number, color: string, goal?: string) => ({
    label,
    value,
    shown: `${number(value)} ms`,
    color,
    goal: goal === undefined ? undefined : goalOf(goal),
  });
  return results.flatMap(({ workload, checks, details }) => {
    const bars = ['p50', 'p95', 'p99'].flatMap((name) => {
      const value = details[name];
      const limit = details[`limitP${name.slice(1)}`];
      if (value === undefined || limit === undefined) return [];
      const goal = checks.find((check) => check.name === name)?.goal;
      return [bar(name, value, PLATFORM, goal), bar(`limit ${name}`, limit, LIMIT)];
    });
    return bars.length === 0 ? [] : [[`Latency of ${workload}`, LATENCY, bars]];
  });
}

const startBars = (results: Saved[]): Bar[] =>
  results
    .filter(({ workload }) => workload === 'start')
    .flatMap(({ checks }) =>
      checks.map(({ name, value, goal, met }) => ({
        label: name,
        value,
        shown: `${value.toFixed(2)} s`,
        goal: goalOf(goal),
        color: colorOf(met),
      })),
    );

/** The report's picture: throughput against its limit, latencies, times to start. */
export function plotOf(results: Saved[]): string {
  const panels: Panel[] = [
    ['Throughput as a part of its limit', 'Dashed: the goal. Green: met, orange: missed.', ratioBars(results)],
    ...latencyPanels(results),
    ['Time to ready', 'Dashed: the longest that is allowed.', startBars(results)],
  ];
  return panelsOf(panels, 'Benchmark results');
}

/** Panels, one below the other; those without bars are left out. */
export function panelsOf(panels: readonly Panel[], label: string): string {
  let top = 40;
  const drawn: string[] = [];
  for (const [title, subtitle, bars] of panels.filter(([, , bars]) => bars.length > 0)) {
    const [svg, bottom] = panel(top, title, subtitle, bars);
    drawn.push(svg);
    top = bottom + 10;
  }
  return svgOf(drawn, top - 20, label);
}

export function svgOf(drawn: readonly string[], height: number, label: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"
  font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" role="img" aria-label="${label}">
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${drawn.join('\n')}
</svg>
`;
}
