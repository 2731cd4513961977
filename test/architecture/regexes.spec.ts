import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ts from 'typescript';
import { z } from 'zod';

/**
 * No pattern may take time that grows with more than the length of the text: else a header of 16 KB or a document of a
 * megabyte stops the process for everybody. Each pattern of the code is tried on long runs of what may be repeated in it,
 * after each of its own beginnings, where a match fails at the end. Only this process's CPU time counts, and the lengths are such that
 * linear patterns need a millisecond and quadratic ones seconds.
 */
const ROOT = join(__dirname, '../..');
const FOLDERS = ['apps', 'libs'];
const MOST_MS = 80;

function patternsOf(file: string): [where: string, pattern: RegExp][] {
  const source = ts.createSourceFile(file, readFileSync(join(ROOT, file), 'utf8'), ts.ScriptTarget.Latest);
  const found: [string, RegExp][] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/');
      found.push([`${file} ${node.text}`, new RegExp(node.text.slice(1, end), node.text.slice(end + 1))]);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const files = FOLDERS.flatMap((folder) =>
  (readdirSync(join(ROOT, folder), { recursive: true }) as string[]).map((file) => join(folder, file)),
);
const ours = files.filter((file) => file.endsWith('.ts') && !/\.(spec|d)\.ts$/.test(file)).flatMap(patternsOf);
/** Of the library that validates requests. */
const formats: [string, RegExp][] = [z.email(), z.guid(), z.base64(), z.iso.datetime(), z.iso.datetime({ offset: true })].map(
  (schema) => [`zod ${schema._zod.def.format}`, schema._zod.def.pattern!],
);

const UNITS = [...' \t\naZ0-_.,:/\'"`#*!()[]@+é'];
const FEW = [...' \na0-.,"!#'];
const PAIRS = FEW.flatMap((one) => FEW.filter((other) => other !== one).map((other) => one + other));

/** What stands for itself at a pattern's beginning, and what stands in it: places from where a run may begin. */
function beginningsOf({ source }: RegExp): string[] {
  const literal = /^\^?((?:\w|:|"|\(|-| |#|@)*)/.exec(source)?.[1] ?? '';
  return [...new Set(['', literal, 'a@'])];
}

function cpuMs(work: () => void): number {
  const { user } = process.cpuUsage();
  work();
  return (process.cpuUsage().user - user) / 1000;
}

/** As the code uses patterns: to look for one, or for all. */
function run(pattern: RegExp, text: string): void {
  pattern.lastIndex = 0;
  pattern.test(text);
  const everywhere = new RegExp(pattern.source, pattern.flags.includes('g') ? pattern.flags : `${pattern.flags}g`);
  for (const match of text.matchAll(everywhere)) if (match.index > text.length) throw new Error('never');
}

function slowestOf(pattern: RegExp): string | undefined {
  for (const [units, length] of [
    [[...UNITS, ...PAIRS], 24], // where time doubles with each character
    [UNITS, 25_000],
    [PAIRS, 25_000],
  ] as const) {
    for (const beginning of beginningsOf(pattern)) {
      for (const unit of units) {
        const text = `${beginning}${unit.repeat(length / unit.length)}\u0001`;
        const tooSlow = () => cpuMs(() => run(pattern, text)) > MOST_MS;
        if (tooSlow() && tooSlow()) return `${beginning}${unit}… × ${length}`;
      }
    }
  }
  return undefined;
}

describe('The patterns of the code', () => {
  it('are found', () => {
    expect(ours.length).toBeGreaterThan(30);
    expect(formats.every(([, pattern]) => pattern instanceof RegExp)).toBe(true);
  });

  it.each([
    ['an exponential pattern', /^(a+)+$/],
    ['a quadratic one', /\s*,\s*/],
    ['one of three parts', /^\w*a\w*-\w*$/],
  ])('would be caught: %s', (_what, pattern) => {
    expect(slowestOf(pattern)).toBeDefined();
  });

  it.each([...ours, ...formats])('take linear time: %s', (_where, pattern) => {
    expect(slowestOf(pattern)).toBeUndefined();
  });
});
