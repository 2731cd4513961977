import { createSecretKey, randomBytes } from 'node:crypto';
import { SealedDataUnreadable } from './envelope';
import type { KeyStore, WrappedKey } from './key-store';
import { LearnerCipher, type KeyRing } from './learner-cipher';
import type { MasterKey } from './master-key';

const KEY_BYTES = 32;
export const INDEX_VERSION = 0;
/** So long a process goes by what it has read: what another one has changed of a learner's keys it knows by then. */
export const KEYS_REMEMBERED_MS = 10_000;
/** The least recently used go first. */
const REMEMBERED = 10_000;

const aadOf = (userId: string, version: number) => `learner key\0${userId}\0${version}`;

interface Remembered {
  cipher: Promise<LearnerCipher>;
  /** In ms of a clock that nobody sets: what was put back would have keys be used that are destroyed meanwhile. */
  until: number;
}

/** The keys of all learners: made when a learner's first data is sealed, wrapped where they are kept, opened in memory. */
export class LearnerKeys {
  private readonly remembered = new Map<string, Remembered>();

  constructor(
    readonly master: MasterKey,
    readonly store: KeyStore,
  ) {}

  /** To open what a learner has. @throws SealedDataUnreadable if the learner has no key */
  toOpen(userId: string): Promise<LearnerCipher> {
    return this.cipher(userId, false);
  }

  /** To seal for a learner. The key is durable before anything that is sealed with it can be. */
  toSeal(userId: string): Promise<LearnerCipher> {
    return this.cipher(userId, true);
  }

  /** Destroys them: what is sealed with them cannot be opened any more, from any copy of it. */
  async destroy(userId: string): Promise<void> {
    await this.store.delete(userId);
    this.forget(userId);
  }

  forget(userId: string): void {
    this.remembered.delete(userId);
  }

  /** A new key, wrapped. */
  async make(userId: string, version: number, activeFrom?: number): Promise<WrappedKey> {
    return this.wrap(userId, version, randomBytes(KEY_BYTES), activeFrom);
  }

  /** The same key, wrapped by the current master key. */
  async rewrap(userId: string, key: WrappedKey): Promise<WrappedKey> {
    return this.wrap(userId, key.version, await this.unwrap(userId, key), key.activeFrom);
  }

  private cipher(userId: string, make: boolean): Promise<LearnerCipher> {
    const known = this.remembered.get(userId);
    this.remembered.delete(userId);
    const now = performance.now();
    const entry = known && known.until > now ? known : { cipher: this.load(userId, make), until: now + KEYS_REMEMBERED_MS };
    this.remembered.set(userId, entry); // now the most recently used
    if (entry !== known) this.dropIfRejected(userId, entry);
    if (this.remembered.size > REMEMBERED) this.remembered.delete(this.remembered.keys().next().value!);
    if (!make) return entry.cipher;
    return entry.cipher.catch((error: unknown) => {
      if (known !== entry || !(error instanceof SealedDataUnreadable)) throw error;
      return this.cipher(userId, true); // somebody who only wanted to open has found that there is none
    });
  }

  private dropIfRejected(userId: string, entry: Remembered): void {
    entry.cipher.catch(() => {
      if (this.remembered.get(userId) === entry) this.remembered.delete(userId);
    });
  }

  private async load(userId: string, make: boolean): Promise<LearnerCipher> {
    const keys = (await this.store.get(userId)) ?? (make ? await this.first(userId) : undefined);
    if (!keys) throw new SealedDataUnreadable('key', 'this learner has no key');
    return new LearnerCipher(userId, await this.ringOf(userId, keys));
  }

  private async first(userId: string): Promise<WrappedKey[]> {
    return this.store.putIfAbsent(userId, [await this.make(userId, INDEX_VERSION), await this.make(userId, 1)]);
  }

  private async ringOf(userId: string, wrapped: readonly WrappedKey[]): Promise<KeyRing> {
    const opened = await Promise.all(
      wrapped.map(async (key) => ({ ...key, key: createSecretKey(await this.unwrap(userId, key)) })),
    );
    const index = opened.find(({ version }) => version === INDEX_VERSION);
    if (!index) throw new SealedDataUnreadable('key', "the learner's keys are not complete");
    const data = opened.filter((key) => key !== index);
    return { keys: new Map(data.map(({ version, key, activeFrom = 0 }) => [version, { key, activeFrom }])), index: index.key };
  }

  private async wrap(userId: string, version: number, bytes: Buffer, activeFrom?: number): Promise<WrappedKey> {
    const wrapped = await this.master.wrap(bytes, aadOf(userId, version));
    return {
      version,
      master: this.master.currentId,
      wrapped: wrapped.toString('base64'),
      ...(activeFrom !== undefined && { activeFrom }),
    };
  }

  private async unwrap(userId: string, { version, master, wrapped }: WrappedKey): Promise<Buffer> {
    try {
      return await this.master.unwrap(master, Buffer.from(wrapped, 'base64'), aadOf(userId, version));
    } catch {
      throw new SealedDataUnreadable('key', `the learner's key cannot be unwrapped by the master key ${master}`);
    }
  }
}
