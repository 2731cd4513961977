import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownFolder } from './folders';

describe('A folder for temporary things', () => {
  const place = mkdtempSync(join(tmpdir(), 'studently-folders-'));
  afterAll(() => rmSync(place, { recursive: true }));

  it('goes with the process: the next one removes what a killed one has left, also where both have the same number', () => {
    const inUse = [ownFolder(place, 'copy'), join(place, `copy-${process.ppid}-x`), join(place, 'other-999999999-x')];
    const left = [join(place, `copy-${process.pid}-before`), join(place, 'copy-999999999-x')];
    for (const folder of [...inUse.slice(1), ...left]) mkdirSync(folder);
    inUse.push(ownFolder(place, 'copy'));
    expect(inUse.map(existsSync)).toEqual([true, true, true, true]);
    expect(left.map(existsSync)).toEqual([false, false]);
  });
});
