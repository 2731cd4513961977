import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { ROOT } from '../../bench/harness/machine';
import { differencePlot, ndcgPlot, tuningPlot } from './plots';
import { readmeOf } from './readme';
import type { Report } from './report';

const FOLDER = join(ROOT, 'docs/evaluation');

/** Writes the report. */
export async function save(report: Report): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  const files = {
    'results.json': `${JSON.stringify(report, rounded, 2)}\n`,
    'README.md': await format(readmeOf(report), { parser: 'markdown', printWidth: 128 }),
    'ndcg.svg': ndcgPlot(report.judged),
    'differences.svg': differencePlot(report.judged),
    'tuning.svg': tuningPlot(report.tuning),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(FOLDER, name), text);
}

/** Four digits are more than any of these figures can bear. */
export function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
}
