import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { ROOT, thisMachine } from './machine';
import { curveOf } from './curve';
import { plotOf } from './plot';
import { readmeOf } from './readme';
import type { Result, Saved } from './workload';

const FOLDER = join(ROOT, 'docs/benchmarks');

/** Writes the report, with links to what flame graphs there are. Workloads that were not measured now keep the figures that they had. */
export async function save(results: Result[]): Promise<void> {
  const file = join(FOLDER, 'results.json');
  const machine = thisMachine();
  const earlier = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Saved[]) : [];
  const kept = earlier.filter(({ workload }) => results.every((result) => result.workload !== workload));
  const all = [...kept, ...results.map((result) => ({ ...result, machine }))].sort((a, b) =>
    a.workload.localeCompare(b.workload),
  );
  mkdirSync(FOLDER, { recursive: true });
  const flames = readdirSync(FOLDER).filter((name) => name.startsWith('flame-'));
  writeFileSync(file, `${JSON.stringify(all, rounded, 2)}\n`);
  writeFileSync(join(FOLDER, 'README.md'), await format(readmeOf(all, flames), { parser: 'markdown', printWidth: 128 }));
  writeFileSync(join(FOLDER, 'overview.svg'), plotOf(all));
  for (const { workload, curve } of all) if (curve) writeFileSync(join(FOLDER, `${workload}.svg`), curveOf(curve));
}

/** Four digits are more than any of these figures can bear. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
}
