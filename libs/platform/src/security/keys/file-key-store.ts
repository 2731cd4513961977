import { randomUUID } from 'node:crypto';
import { opendir, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createOnce, replaceFile, syncFolder } from './durable-files';
import type { KeyStore, WrappedKey } from './key-store';

const SUFFIX = '.keys';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** One file for each learner, a line for each key, in folders by the first digits of the learner's id. */
export class FileKeyStore implements KeyStore {
  constructor(private readonly folder: string) {}

  async get(userId: string): Promise<WrappedKey[] | undefined> {
    try {
      const text = await readFile(this.fileOf(userId), 'utf8');
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as WrappedKey);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async putIfAbsent(userId: string, keys: readonly WrappedKey[]): Promise<WrappedKey[]> {
    await createOnce(this.fileOf(userId), () => textOf(keys));
    return (await this.get(userId))!;
  }

  async replace(userId: string, keys: readonly WrappedKey[]): Promise<void> {
    await replaceFile(this.fileOf(userId), textOf(keys));
  }

  /** With what processes that were killed have left of them: a temporary file holds the same keys. */
  async delete(userId: string): Promise<void> {
    const file = this.fileOf(userId);
    const folder = dirname(file);
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined; // there was never a key
      throw error;
    });
    if (!names) return;
    for (const name of names.filter((each) => each.startsWith(userId))) await rm(join(folder, name), { force: true });
    await syncFolder(folder);
  }

  async *list(): AsyncIterable<string> {
    for await (const shard of await opendir(this.folder)) {
      if (!shard.isDirectory()) continue;
      for await (const { name } of await opendir(join(this.folder, shard.name)))
        if (name.endsWith(SUFFIX)) yield name.slice(0, -SUFFIX.length);
    }
  }

  async id(): Promise<string> {
    const file = join(this.folder, 'store-id');
    await createOnce(file, () => randomUUID());
    return readFile(file, 'utf8');
  }

  private fileOf(userId: string): string {
    if (!UUID.test(userId)) throw new TypeError('A key belongs to a uuid.');
    return join(this.folder, userId.slice(0, 2), userId + SUFFIX);
  }
}

const textOf = (keys: readonly WrappedKey[]) => keys.map((key) => `${JSON.stringify(key)}\n`).join('');
