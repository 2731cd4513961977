import { escaped } from './plot';
import { sharesOf, type Frame } from './profile';

const WIDTH = 1200;
const ROW = 17;
const TOP = 74;
/** Narrower frames cannot be seen. */
const NARROWEST = 1.2;
const COLORS = ['#c2571a', '#2563a8', '#2f7d5b', '#7c5cab', '#b58a1c', '#4a8ca0', '#a8476a', '#6b7280'];
const REST = '#9ca3af';

/**
 * A flame graph, callers above what they call, as wide as the CPU time they took with it; colours say whose code it is.
 * Source: Brendan Gregg, "The Flame Graph", CACM 59(6), 2016. @returns SVG
 */
export function flameGraphOf(root: Frame, title: string): string {
  const shares = sharesOf(root);
  const parts = shares.map(([part]) => part);
  const colorOf = (part: string) => COLORS[parts.indexOf(part)] ?? REST;
  const drawn: string[] = [];
  let bottom = TOP;
  const draw = (frame: Frame, x: number, y: number) => {
    const width = (frame.total / root.total) * WIDTH;
    if (width < NARROWEST) return;
    bottom = Math.max(bottom, y + ROW);
    const share = `${((100 * frame.total) / root.total).toFixed(1)} %`;
    const label = width > 40 ? escaped(frame.name.slice(0, Math.floor(width / 6.6))) : '';
    drawn.push(
      `<g><title>${escaped(frame.name)} · ${escaped(frame.part)} · ${share}</title>` +
        `<rect x="${x.toFixed(1)}" y="${y}" width="${(width - 0.4).toFixed(1)}" height="${ROW - 1}" fill="${colorOf(frame.part)}"/>` +
        (label && `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${label}</text>`) +
        '</g>',
    );
    drawCalled(frame, x, y + ROW);
  };
  const drawCalled = ({ called }: Frame, x: number, y: number) => {
    for (const frame of [...called.values()].sort((a, b) => b.total - a.total)) {
      draw(frame, x, y);
      x += (frame.total / root.total) * WIDTH;
    }
  };
  drawCalled(root, 0, TOP);
  const legend = shares.slice(0, COLORS.length).map(([part, share], index) => {
    const x = 12 + index * 148;
    const text = escaped(`${(100 * share).toFixed(0)} % ${part}`);
    return `<rect x="${x}" y="42" width="11" height="11" fill="${COLORS[index]}"/><text x="${x + 16}" y="52" class="ink">${text}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 10}" font-family="system-ui, sans-serif" font-size="11">`,
    '<style>text { fill: #fff } .ink { fill: #1f2937 }</style><rect width="100%" height="100%" fill="#fff"/>',
    `<text x="12" y="26" class="ink" font-size="15" font-weight="600">${escaped(title)}</text>`,
    ...legend,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}
