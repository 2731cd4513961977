import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');
const LOCK = join(ROOT, 'package-lock.json');

/** What the check says of a lock file, by line. */
function judge(lock: string): { code: number | null; lines: string[] } {
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts/licences.mjs'), lock]);
  return { code: status, lines: stderr.toString().trim().split('\n') };
}

describe('licences', () => {
  it('of everything that is installed are on the list, and nothing on the list is for nothing', () => {
    expect(judge(LOCK)).toEqual({ code: 0, lines: [''] });
  });

  it('that nobody has judged are told by name', () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-licences-'));
    const planted = join(folder, 'lock.json');
    const { packages } = JSON.parse(readFileSync(LOCK, 'utf8'));
    delete packages['node_modules/argparse'];
    Object.assign(packages, {
      'node_modules/a': { license: 'GPL-3.0-only' },
      'node_modules/b': {},
      'node_modules/c': { license: 'MIT AND GPL-2.0' },
      'node_modules/d': { license: '(MIT OR GPL-2.0)' },
    });
    writeFileSync(planted, JSON.stringify({ packages }));
    const { code, lines } = judge(planted);
    rmSync(folder, { recursive: true });
    expect({ code, lines: lines.slice(0, -1) }).toEqual({
      code: 1,
      lines: [
        'a: GPL-3.0-only is not on the list',
        'b: no licence is not on the list',
        'c: MIT AND GPL-2.0 is not on the list',
        'argparse is an exception that nothing needs',
      ],
    });
  });
});
