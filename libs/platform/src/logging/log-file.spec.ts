import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LogFile } from './log-file';

describe('A log file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'studently-log-file-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('goes on where it was while its folder cannot be entered: that ends no process', () => {
    const place = join(folder, 'log');
    mkdirSync(place);
    const file = new LogFile(join(place, 'api.jsonl'));
    renameSync(place, join(folder, 'elsewhere'));
    symlinkSync(place, place); // leads to itself, for root as well
    expect(() => (file as unknown as { follow(): void }).follow()).not.toThrow();
    file.write('a line\n');
    expect(readFileSync(join(folder, 'elsewhere', 'api.jsonl'), 'utf8')).toBe('a line\n');
  });
});
