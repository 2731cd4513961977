import {
  INK,
  LIMIT,
  LINES,
  MET,
  MISSED,
  panelsOf,
  PLATFORM,
  QUIET,
  svgOf,
  text,
  whisker,
  type Panel,
} from '../../bench/harness/plot';
import { isAbove, isBelow, type Difference } from './bootstrap';
import { shareNow, SHARES, WORDS_OF_LENGTH, type Length, type Tuning } from './fusion';
import type { Judged } from './judge';

const COLORS = { text: LIMIT, vector: '#8b6fb3', hybrid: PLATFORM };
const LEFT = 200;
const RIGHT = 620;

/** How good each method is on each set. */
export function ndcgPlot(all: readonly Judged[]): string {
  const panels = all.map(({ set, lines }): Panel => [
    set,
    `nDCG@10 of ${lines[0]!.queries} questions, with the 95 % interval`,
    lines.map(({ method, ndcgAt10: value, ci95: interval }) => ({
      label: method,
      value,
      shown: value.toFixed(3),
      interval,
      color: COLORS[method],
    })),
  ]);
  return panelsOf(panels, 'nDCG@10 by set and method');
}

/** What hybrid adds to each of its parts. */
export function differencePlot(all: readonly Judged[]): string {
  const rows = all.flatMap(({ set, hybridOver }) =>
    (['text', 'vector'] as const).map((part) => ({ label: `${set}, over ${part}`, difference: hybridOver[part] })),
  );
  const most = Math.max(...rows.flatMap(({ difference }) => difference.ci95.map(Math.abs)));
  const x = (value: number) => LEFT + 20 + ((value / most + 1) / 2) * (RIGHT - LEFT - 20);
  const bottom = 80 + 34 * rows.length;
  const drawn = rows.flatMap(({ label, difference }, index) => {
    const y = 92 + 34 * index;
    const at = x(difference.mean).toFixed(1);
    return [
      text(LEFT - 2, y + 4, label, { anchor: 'end', size: 12 }),
      whisker(x(difference.ci95[0]), x(difference.ci95[1]), y),
      `<circle cx="${at}" cy="${y}" r="6" fill="${colorOf(difference)}"/>`,
      text(RIGHT + 12, y + 4, signed(difference.mean), { bold: true }),
    ];
  });
  const zero = x(0).toFixed(1);
  return svgOf(
    [
      text(24, 34, 'What hybrid adds to words alone and to meaning alone', { size: 15, bold: true }),
      text(24, 53, 'Difference of nDCG@10 by paired bootstrap, 95 % interval. Green: above beyond chance, orange: below.', {
        size: 12,
        color: QUIET,
      }),
      `<line x1="${zero}" x2="${zero}" y1="70" y2="${bottom}" stroke="${INK}" stroke-dasharray="3 2"/>`,
      ...drawn,
    ],
    bottom + 20,
    'Difference of hybrid from its parts',
  );
}

const colorOf = (difference: Difference) => (isAbove(difference) ? MET : isBelow(difference) ? MISSED : LIMIT);
const signed = (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}`;

const CURVES: Record<Length, string> = { short: MISSED, medium: PLATFORM, long: MET };

/** nDCG on the tuning halves by the share that words have in the fusion. */
export function tuningPlot({ lengths }: Tuning): string {
  const [top, bottom, left] = [80, 360, 70];
  const values = lengths.flatMap(({ curve, now }) => [...curve, now]);
  const [least, most] = [Math.floor(20 * Math.min(...values)) / 20, Math.ceil(20 * Math.max(...values)) / 20];
  const x = (share: number) => left + share * (RIGHT - left);
  const y = (value: number) => bottom - ((value - least) / (most - least)) * (bottom - top);
  const steps = Math.round(20 * (most - least));
  const grid = Array.from({ length: steps + 1 }, (_, step) => least + step / 20).filter(
    (_, step) => steps <= 8 || step % 2 === 0,
  );
  return svgOf(
    [
      text(24, 34, 'How much words should count, by the length of the question', { size: 15, bold: true }),
      text(
        24,
        53,
        'nDCG@10 on the tuning halves. Left: meaning alone, right: words alone. Full: the best; hollow: the search.',
        {
          size: 12,
          color: QUIET,
        },
      ),
      ...grid.flatMap((value) => [
        `<line x1="${left}" x2="${RIGHT}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" stroke="${LINES}"/>`,
        text(left - 8, y(value) + 4, value.toFixed(2), { size: 12, anchor: 'end', color: QUIET }),
      ]),
      ...[0, 0.25, 0.5, 0.75, 1].map((share) =>
        text(x(share), bottom + 20, share.toFixed(2), { size: 12, anchor: 'middle', color: QUIET }),
      ),
      ...lengths.flatMap(({ length, curve, share, best, now }, index) => [
        `<polyline fill="none" stroke="${CURVES[length]}" stroke-width="2" points="${curve
          .map((value, step) => `${x(SHARES[step]!).toFixed(1)},${y(value).toFixed(1)}`)
          .join(' ')}"/>`,
        `<circle cx="${x(share).toFixed(1)}" cy="${y(best).toFixed(1)}" r="5" fill="${CURVES[length]}"/>`,
        `<circle cx="${x(shareNow(length)).toFixed(1)}" cy="${y(now).toFixed(1)}" r="5" fill="#ffffff" stroke="${CURVES[length]}"/>`,
        text(RIGHT + 16, top + 14 + 20 * index, WORDS_OF_LENGTH[length], { size: 12, color: CURVES[length], bold: true }),
      ]),
    ],
    bottom + 40,
    'nDCG@10 by the share of words in the fusion',
  );
}
