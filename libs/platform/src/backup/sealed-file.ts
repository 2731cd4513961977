import { createCipheriv, createDecipheriv, hash, randomBytes, type KeyObject } from 'node:crypto';
import { createReadStream, createWriteStream, openSync, readSync, closeSync, statSync } from 'node:fs';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BackupFault } from './backup-fault';
import { interrupted } from './tool';

/**
 * A file of three parts: a line that names format and key, a line with a sealed header, and a sealed body; both by AES-256-GCM, the
 * body bound to its header.
 */
const FORMAT = 'studently backup 1';
const NONCE = 12;
const TAG = 16;
const OPTIONS = { authTagLength: TAG } as const;
const LONGEST_HEAD = 4 * 1024 * 1024;

/** Tells one key from another, and nothing else about it. */
const nameOf = (key: KeyObject) =>
  hash('sha256', Buffer.concat([Buffer.from('studently backup key'), key.export()]), 'hex').slice(0, 16);

export async function writeSealed(
  file: string,
  key: KeyObject,
  header: object,
  body: Readable,
  signal?: AbortSignal,
): Promise<void> {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, OPTIONS);
  const sealed = cipher.update(JSON.stringify(header), 'utf8');
  cipher.final();
  const head = `${FORMAT} ${nameOf(key)}\n${Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64')}\n`;
  const bodyNonce = randomBytes(NONCE);
  const sealing = createCipheriv('aes-256-gcm', key, bodyNonce, OPTIONS).setAAD(Buffer.from(head));
  const framed = new Transform({
    transform: (chunk, _encoding, done) => done(null, chunk),
    flush: (done) => done(null, sealing.getAuthTag()),
  });
  const out = createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true });
  out.write(Buffer.concat([Buffer.from(head), bodyNonce]));
  await pipeline(body, sealing, framed, out, { signal });
}

interface Head {
  text: string;
  header: unknown;
}

/** @throws BackupFault `BACKUP_KEY_WRONG`, `BACKUP_DAMAGED` */
export function readHeader(file: string, key: KeyObject): unknown {
  return headOf(file, key).header;
}

function headOf(file: string, key: KeyObject): Head {
  const [first, second] = firstLines(file);
  if (first === undefined || second === undefined || !first.startsWith(`${FORMAT} `)) throw damaged(file);
  if (first !== `${FORMAT} ${nameOf(key)}`) {
    throw new BackupFault(
      'BACKUP_KEY_WRONG',
      `${file} is encrypted with another key: look at BACKUP_KEY_FILE, or move it elsewhere.`,
    );
  }
  try {
    const bytes = Buffer.from(second, 'base64');
    const opening = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE), OPTIONS).setAuthTag(bytes.subarray(-TAG));
    const text = Buffer.concat([opening.update(bytes.subarray(NONCE, -TAG)), opening.final()]).toString();
    return { text: `${first}\n${second}\n`, header: JSON.parse(text) };
  } catch {
    throw damaged(file);
  }
}

/** The body, as it is read. What comes out is to be trusted only when the stream has ended: whoever acts on it earlier calls this twice. */
export function openBody(file: string, key: KeyObject): Readable {
  const { text } = headOf(file, key);
  const start = Buffer.byteLength(text) + NONCE;
  const end = statSync(file).size - TAG;
  if (end < start) throw damaged(file);
  const opening = createDecipheriv('aes-256-gcm', key, bytesOf(file, start - NONCE, NONCE), OPTIONS);
  opening.setAAD(Buffer.from(text)).setAuthTag(bytesOf(file, end, TAG));
  // Of an empty range there is no stream.
  const sealed = end === start ? Readable.from([]) : createReadStream(file, { start, end: end - 1 });
  sealed.on('error', (error: Error) => opening.destroy(error));
  return sealed.pipe(opening);
}

/** @throws BackupFault `BACKUP_KEY_WRONG`, `BACKUP_INTERRUPTED`, `BACKUP_DAMAGED` if a single bit is not as it was written */
export async function verifySealed(file: string, key: KeyObject, signal?: AbortSignal): Promise<void> {
  const body = openBody(file, key);
  try {
    for await (const _chunk of body) signal?.throwIfAborted();
  } catch (error) {
    if (signal?.aborted) throw interrupted();
    if ((error as NodeJS.ErrnoException).syscall) throw error;
    throw damaged(file);
  }
}

const damaged = (file: string) => new BackupFault('BACKUP_DAMAGED', `${file} is damaged: restore another backup.`);

function firstLines(file: string): (string | undefined)[] {
  const beginning = bytesOf(file, 0, LONGEST_HEAD).toString('latin1');
  const [first, second, rest] = beginning.split('\n', 3);
  return rest === undefined ? [] : [first, second];
}

function bytesOf(file: string, position: number, length: number): Buffer {
  const descriptor = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(Math.min(length, Math.max(0, statSync(file).size - position)));
    return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, position));
  } finally {
    closeSync(descriptor);
  }
}
