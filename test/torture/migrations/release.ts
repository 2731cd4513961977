import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PROJECT = join(__dirname, '../../..');

/** A built release: where its programs are. */
export const distOf = (release: string): string => join(release, 'dist');

/** What another release does otherwise, in what was built. */
const CHANGES = [
  {
    file: 'libs/ai-interactions/src/queries/list-chats.js',
    from: '$2 <% c.title)',
    to: '$2 <% coalesce(c.title_folded, lower(c.title)))',
  },
];

/** The release after this one, in a folder: this build with further migrations, and a search that reads what they have made. */
export function makeNextRelease(folder: string, migrations: readonly string[]): string {
  mkdirSync(folder, { recursive: true });
  for (const part of ['dist', 'migrations', 'build', 'package.json'])
    cpSync(join(PROJECT, part), join(folder, part), { recursive: true });
  symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  for (const each of migrations) cpSync(join(__dirname, each), join(folder, 'migrations'), { recursive: true });
  for (const { file, from, to } of CHANGES) {
    const built = join(distOf(folder), file);
    const text = readFileSync(built, 'utf8');
    if (!text.includes(from)) throw new Error(`${file} has no ${from} to be changed`);
    writeFileSync(built, text.replaceAll(from, to));
  }
  execFileSync(process.execPath, [join(PROJECT, 'scripts/bundle.mjs')], { cwd: folder });
  return folder;
}
