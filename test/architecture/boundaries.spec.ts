import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

interface Cruised {
  modules: number;
  found: { rule: string; from: string; to: string }[];
}

const root = join(__dirname, '../..');
const { forbidden } = require('../../.dependency-cruiser.cjs') as { forbidden: { name: string }[] };
const rules = forbidden.map((rule) => rule.name);
const violations = join(__dirname, 'violations');

function cruise(trees: string[]): Cruised[] {
  const lines = execFileSync(process.execPath, [join(__dirname, 'cruise.mjs'), ...trees], { encoding: 'utf8' });
  return lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Cruised);
}

/** The planted violations of a rule are in files of that name; what else is there only serves to be imported. */
function plantedFor(rule: string): string[] {
  const folder = join(violations, rule);
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.name.startsWith('planted'))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

describe('boundaries', () => {
  let planted: Map<string, Cruised>;
  let real: Cruised;
  beforeAll(() => {
    const results = cruise([...rules.map((rule) => join(violations, rule)), root]);
    planted = new Map(rules.map((rule, index) => [rule, results[index]!]));
    real = results.at(-1)!;
  });

  it('DC-1 DC-3 each rule has planted violations, and each planted violation has a rule', () => {
    expect(readdirSync(violations).sort()).toEqual([...rules].sort());
  });

  it.each(rules)('DC-1 DC-3 %s: every planted violation is found', (rule) => {
    const files = plantedFor(rule);
    expect(files).not.toEqual([]);
    const found = planted.get(rule)!.found.filter((violation) => violation.rule === rule);
    expect(files.filter((file) => !found.some(({ from, to }) => from === file || to === file))).toEqual([]);
  });

  it('DC-1 DC-3 the source has no violation', () => {
    expect(real.modules).toBeGreaterThan(100);
    expect(real.found).toEqual([]);
  });
});
