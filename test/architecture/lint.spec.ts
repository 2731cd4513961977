import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(__dirname, '../..');
const command = 'libs/study/src/commands/review-item.ts';
const entity = 'libs/study/src/domain/study-item.entity.ts';

/** What the rules of our own say about a piece of code in a place, without types and all other rules. */
const LINT = `
  import { Linter } from 'eslint';
  import config from '${join(root, 'eslint.config.mjs')}';
  const linter = new Linter({ cwd: '${root}' });
  const ours = config.filter(({ rules = {} }) => 'no-restricted-syntax' in rules);
  const found = JSON.parse(process.argv[1]).map(([filename, code]) =>
    linter.verify(code, ours.map((part) => ({ ...part, files: part.files })), { filename }).map((message) => message.ruleId ?? message.message),
  );
  console.log(JSON.stringify(found));
`;

const refused: [title: string, file: string, code: string][] = [
  ['assigning a field', command, 'item.tags = []'],
  ['counting a field up', command, 'item.reps++'],
  ['assigning a field of a field', command, 'this.item.reps = 1'],
  ['removing a field', command, 'delete item.tags'],
  ['Object.assign', command, 'Object.assign(item, body)'],
  ['em.assign', command, 'tx.em.assign(item, body)'],
  ['assigning a field in a query', 'libs/study/src/queries/get-item.ts', 'item.tags = []'],
  ['asking the clock in a domain', entity, 'const now = new Date()'],
  ['asking the clock in a domain for a number', entity, 'const now = Date.now()'],
];
const accepted: typeof refused = [
  ["a handler's own field", command, 'class A { set(b) { this.b = b; } }'],
  ['a local variable', command, 'let a; a = 1'],
  ["an entity's own rule", entity, 'class A { rename(b) { this.b = b; } }'],
  ['a given time', entity, 'const at = new Date(0)'],
];

describe('lint rules of our own', () => {
  const cases = [...refused, ...accepted];
  let found: string[][];
  beforeAll(() => {
    const input = JSON.stringify(cases.map(([, file, code]) => [join(root, file), code]));
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', LINT, input], { cwd: root, encoding: 'utf8' });
    found = JSON.parse(output) as string[][];
  });

  it.each(refused.map(([title], index) => [title, index] as const))('refuses %s', (_, index) => {
    expect(found[index]).toEqual(['no-restricted-syntax']);
  });

  it.each(accepted.map(([title], index) => [title, index + refused.length] as const))('accepts %s', (_, index) => {
    expect(found[index]).toEqual([]);
  });
});
