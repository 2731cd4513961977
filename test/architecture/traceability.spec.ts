import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const generator = (option: string) =>
  execFileSync(process.execPath, ['scripts/traceability.mjs', option], { cwd: root, encoding: 'utf8' });

describe('traceability', () => {
  it('OV-6 is up to date: otherwise run npm run docs:traceability', () => {
    expect(read('docs/traceability.md')).toBe(generator('--print'));
  });

  it('OV-6 has every id of the requirements, once', () => {
    const ids = (text: string) => [...text.matchAll(/^\| ([A-Z]+-\d+) \|/gm)].map((match) => match[1]);
    const required = ids(read('docs/requirements.md'));
    expect(required.length).toBeGreaterThan(150);
    expect(ids(read('docs/traceability.md'))).toEqual(required);
  });

  it('OV-6 no test names a requirement that does not exist', () => {
    expect(JSON.parse(generator('--unknown'))).toEqual([]);
  });
});
