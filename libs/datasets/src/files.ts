import { isUtf8 } from 'node:buffer';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { DomainError } from '@studently/platform';

export class FileRefused extends DomainError {
  constructor(path: string, why: string) {
    super('invalid', 'FILE_REFUSED', `${path} ${why}`);
  }
}

/** A file of a folder, or one by itself. */
export interface FoundFile {
  /** From the folder on, with slashes. */
  name: string;
  /** @throws FileRefused where it is too long, not UTF-8, or empty */
  text: () => string;
  bytes: number;
}

/** The files with such a name in a folder and those below it, in the order of their paths, but for hidden folders and node_modules; or a single file. */
export async function* filesOf(path: string, names: RegExp, mostBytes: number): AsyncGenerator<FoundFile> {
  for await (const file of pathsOf(path, names)) {
    const name = file === path ? basename(file) : relative(path, file).split(sep).join('/');
    // One that is longer is not even read.
    const bytes = (await stat(file)).size > mostBytes ? undefined : await readFile(file);
    yield { name, bytes: bytes?.length ?? 0, text: () => textOf(name, bytes, mostBytes) };
  }
}

async function* pathsOf(path: string, names: RegExp): AsyncGenerator<string> {
  if (!(await stat(path)).isDirectory()) {
    yield path;
    return;
  }
  const entries = await readdir(path, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) {
      if (!entry.name.startsWith('.') && entry.name !== 'node_modules') yield* pathsOf(join(path, entry.name), names);
    } else if (entry.isFile() && names.test(entry.name)) yield join(path, entry.name);
  }
}

function textOf(name: string, bytes: Buffer | undefined, mostBytes: number): string {
  if (!bytes) throw new FileRefused(name, `has more than ${mostBytes} bytes.`);
  if (!isUtf8(bytes)) throw new FileRefused(name, 'is not UTF-8.');
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  if (text.trim() === '') throw new FileRefused(name, 'is empty.');
  return text;
}
