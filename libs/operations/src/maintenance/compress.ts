import { createHash, type Hash } from 'node:crypto';
import { constants, lstatSync, renameSync, rmSync, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';

/** Longer than any compression rests between two writes: then it is of one that was killed. */
const ABANDONED_MS = 10 * 60 * 1000;

/**
 * Puts `<file>.gz` in the place of a file, with its owner, mode and time. The file goes only after the copy has been read back and found
 * equal, and only if nobody has written to it meanwhile. Killed at any point there is the file, or the copy, or both.
 * @returns whether it was done; else somebody still writes to it or compresses it, or it is no file of its own
 */
export async function compress(file: string): Promise<boolean> {
  const source = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (!source) return false;
  const part = `${file}.gz.part`;
  const before = await source.stat();
  const other = lstatSync(part, { throwIfNoEntry: false });
  if (!before.isFile() || (other && Date.now() - other.ctimeMs < ABANDONED_MS)) {
    await source.close();
    return false;
  }
  try {
    rmSync(part, { force: true });
    const written = await copy(source, part, before);
    if ((await readBack(part)) !== written) throw new Error(`${part} is not what was written: is the disk all right?`);
    const now = lstatSync(file, { throwIfNoEntry: false });
    if (now?.size !== before.size || now.ino !== before.ino) return false;
    renameSync(part, `${file}.gz`);
    await sync(dirname(file));
    rmSync(file);
    return true;
  } finally {
    await source.close();
    rmSync(part, { force: true });
  }
}

/** @returns the hash of what was read */
async function copy(source: FileHandle, part: string, { mode, uid, gid, atime, mtime }: Stats): Promise<string> {
  const target = await open(part, 'wx', mode);
  await target.chown(uid, gid).catch(() => undefined); // who is not root may only keep it
  const hash = createHash('sha256');
  await pipeline(source.createReadStream(), tapped(hash), createGzip(), target.createWriteStream({ flush: true }));
  const written = await open(part, constants.O_RDONLY | constants.O_NOFOLLOW);
  await written.utimes(atime, mtime).finally(() => written.close());
  return hash.digest('hex');
}

async function readBack(part: string): Promise<string> {
  const file = await open(part, 'r');
  const hash = createHash('sha256');
  await pipeline(file.createReadStream(), createGunzip(), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) hash.update(chunk);
  });
  return hash.digest('hex');
}

const tapped = (hash: Hash) =>
  new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });

async function sync(folder: string): Promise<void> {
  const handle = await open(join(folder, '.'), 'r');
  await handle.sync().finally(() => handle.close());
}
