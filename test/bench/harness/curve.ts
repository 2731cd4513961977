import { INK, LIMIT, LINES, PLATFORM, QUIET, svgOf, text, WIDTH } from './plot';
import { number } from './table';
import type { Curve, CurvePoint } from './workload';

const LEFT = 90;
const RIGHT = WIDTH - 110;
const TOP = 70;
const BOTTOM = 330;
const SIDES = [
  ['platform', PLATFORM],
  ['limit', LIMIT],
] as const;

/** Platform and limit over x, both scales logarithmic: where ten times as much takes ten times as long the line rises by a decade. */
export function curveOf({ title, points }: Curve): string {
  const values = points.flatMap(({ platform, limit }) => [platform, limit]);
  const x = scale(
    points.map(({ x: at }) => at),
    LEFT,
    RIGHT,
  );
  const y = scale(
    [10 ** Math.floor(Math.log10(Math.min(...values))), 10 ** Math.ceil(Math.log10(Math.max(...values)))],
    BOTTOM,
    TOP,
  );
  const decades = Array.from({ length: 13 }, (_, nr) => 10 ** (nr - 3)).filter(
    (value) => y(value) >= TOP - 1 && y(value) <= BOTTOM + 1,
  );
  const drawn = [
    text(24, 34, title, { size: 15, bold: true }),
    text(24, 53, 'Platform blue, limit grey.', { size: 12, color: QUIET }),
    ...decades.flatMap((value) => [
      `<line x1="${LEFT}" x2="${RIGHT}" y1="${y(value)}" y2="${y(value)}" stroke="${LINES}"/>`,
      text(LEFT - 10, y(value) + 4, String(value), { size: 12, color: QUIET, anchor: 'end' }),
    ]),
    ...points.map(({ x: at }) =>
      text(x(at), BOTTOM + 22, at.toLocaleString('en-US'), { size: 12, color: QUIET, anchor: 'middle' }),
    ),
    ...SIDES.flatMap(([side, color]) =>
      lineOf(
        points.map((point) => [x(point.x), y(point[side])]),
        color,
      ),
    ),
    ...labelsOf(points, x, y),
  ];
  return svgOf(drawn, BOTTOM + 44, title);
}

/** What the platform took at each point, above it. */
const labelsOf = (points: readonly CurvePoint[], x: (value: number) => number, y: (value: number) => number) =>
  points.map((point) =>
    text(x(point.x), y(Math.max(point.platform, point.limit)) - 10, number(point.platform), {
      size: 12,
      color: INK,
      anchor: 'middle',
    }),
  );

function lineOf(at: [x: number, y: number][], color: string): string[] {
  const path = at.map(([x, y]) => `${x},${y}`).join(' ');
  return [
    `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2.5"/>`,
    ...at.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="4" fill="${color}"/>`),
  ];
}

/** Logarithmic, from the least of the values at `from` to the most at `to`. */
function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const [least, most] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  return (value) => Number((from + ((Math.log10(value) - least) / (most - least)) * (to - from)).toFixed(1));
}
