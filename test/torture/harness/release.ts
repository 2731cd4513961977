import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PROJECT = join(__dirname, '../../..');

/** A built release: where its programs are. */
export const distOf = (release: string): string => join(release, 'dist');

/** A release beside this one, in a folder: this build, changed, and the programs of it that are used. @returns the folder */
export function makeRelease(folder: string, programs: readonly string[], change: () => void): string {
  mkdirSync(folder, { recursive: true });
  for (const part of ['dist', 'migrations', 'build', 'package.json'])
    cpSync(join(PROJECT, part), join(folder, part), { recursive: true });
  symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  change();
  execFileSync(process.execPath, [join(PROJECT, 'scripts/bundle/bundle.mjs'), ...programs], { cwd: folder });
  return folder;
}

/** @throws if the file has no `from` */
export function changeText(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} has no ${from} to be changed`);
  writeFileSync(file, text.replaceAll(from, to));
}
