import { createCipheriv, createDecipheriv, createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigurationError } from '../../config/config';
import { createOnce } from './durable-files';

/** What wraps the learners' keys. A key management service is another implementation of these four. */
export interface MasterKey {
  /** Names the key that wraps from now on. */
  readonly currentId: string;
  /** @param aad is needed again to unwrap */
  wrap(bytes: Buffer, aad: string): Promise<Buffer>;
  /** @throws if `id` is not known, or anything was changed */
  unwrap(id: string, bytes: Buffer, aad: string): Promise<Buffer>;
  /** Tells one key from another of the same name, and nothing else about it; undefined: there is no such key. */
  checkValue(id: string): Promise<Buffer | undefined>;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LINE = /^([A-Za-z0-9._-]{1,64})\s+([A-Za-z0-9+/]{43}=)$/;

/** Master keys in a file: lines `<id> <base64 of 32 bytes>`. The first is current; further ones only unwrap. */
export class FileMasterKey implements MasterKey {
  private constructor(
    readonly currentId: string,
    private readonly keys: ReadonlyMap<string, KeyObject>,
  ) {}

  /** @param make whether it is made, readable by its owner alone, where there is none. @throws ConfigurationError */
  static async open(path: string, { make = false } = {}): Promise<FileMasterKey> {
    try {
      if (make) await createOnce(path, () => `master-1 ${randomBytes(KEY_BYTES).toString('base64')}\n`);
      return FileMasterKey.parse(await readFile(path, 'utf8'), path);
    } catch (error) {
      if (error instanceof ConfigurationError) throw error;
      throw new ConfigurationError(
        'MASTER_KEY_UNUSABLE',
        `The master key ${path} cannot be read (${(error as Error).message}): see MASTER_KEY_FILE.`,
      );
    }
  }

  private static parse(text: string, path: string): FileMasterKey {
    const lines = text.split('\n').map((line) => line.trim());
    const entries = lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => LINE.exec(line));
    const keys = new Map(
      entries.flatMap((match) => (match ? [[match[1]!, createSecretKey(Buffer.from(match[2]!, 'base64'))] as const] : [])),
    );
    const [current] = keys.keys();
    if (current === undefined || keys.size < entries.length) {
      throw new ConfigurationError(
        'MASTER_KEY_UNUSABLE',
        `${path} is no file of master keys: each line is "<id> <base64 of 32 bytes>", each id once. ` +
          `To make one: echo "master-1 $(openssl rand -base64 32)" > ${path}`,
      );
    }
    return new FileMasterKey(current, keys);
  }

  async wrap(bytes: Buffer, aad: string): Promise<Buffer> {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.keyOf(this.currentId), nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(aad));
    return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  }

  async unwrap(id: string, bytes: Buffer, aad: string): Promise<Buffer> {
    const decipher = createDecipheriv('aes-256-gcm', this.keyOf(id), bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(aad));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES)), decipher.final()]);
  }

  async checkValue(id: string): Promise<Buffer | undefined> {
    const key = this.keys.get(id);
    return key && createHmac('sha256', key).update('studently master key check').digest();
  }

  private keyOf(id: string): KeyObject {
    const key = this.keys.get(id);
    if (!key) throw new Error(`The master key ${id} is not in MASTER_KEY_FILE: add its line again, below the first.`);
    return key;
  }
}
