import { createHmac, type KeyObject } from 'node:crypto';
import { openBytes, sealBytes, SealedDataUnreadable, type DataKey } from './envelope';

/** `table.column`, as the readable one is called; beside it is `<column>_sealed`. */
export type SealedColumn = `${string}.${string}`;

/** The keys of one learner, opened. */
export interface KeyRing {
  /** By version. One is used from `activeFrom` on (ms since 1970). */
  readonly keys: ReadonlyMap<number, { readonly key: KeyObject; readonly activeFrom: number }>;
  /** For keyed hashes, such as the lexemes; it stays when data keys change. */
  readonly index: KeyObject;
}

const LEXEME_BYTES = 12;

/** Seals and opens what belongs to one learner. */
export class LearnerCipher {
  constructor(
    readonly userId: string,
    private readonly ring: KeyRing,
  ) {}

  /** @param id of the row */
  seal(column: SealedColumn, id: string, text: string): Buffer {
    return sealBytes(this.current, text, this.context(column, id));
  }

  /** @throws SealedDataUnreadable */
  open(column: SealedColumn, id: string, sealed: Buffer): string {
    return openBytes(this.keyOf, sealed, this.context(column, id), column).toString();
  }

  /** What is in a cache under `key`, with a `header` that stays readable. */
  sealCached(key: string, header: string, bytes: Buffer): Buffer {
    return sealBytes(this.current, bytes, this.context('cache', key, header));
  }

  /** @throws SealedDataUnreadable */
  openCached(key: string, header: string, sealed: Buffer): Buffer {
    return openBytes(this.keyOf, sealed, this.context('cache', key, header), 'cache');
  }

  /** What stands for a word in the learner's full-text index: the same for the same word, of this learner alone. */
  lexeme(word: string): string {
    return this.keyedHash('lexeme', word).subarray(0, LEXEME_BYTES).toString('hex');
  }

  /** HMAC-SHA-256 under a key of this learner, which stays when data keys change and goes when they are destroyed. */
  keyedHash(purpose: string, value: string): Buffer {
    return createHmac('sha256', this.ring.index).update(`${purpose}\0${value}`).digest();
  }

  /** The version that new data is sealed with. */
  get version(): number {
    return this.current.version;
  }

  private readonly keyOf = (version: number): KeyObject | undefined => this.ring.keys.get(version)?.key;

  private get current(): DataKey {
    const now = Date.now();
    let best: DataKey | undefined;
    for (const [version, { key, activeFrom }] of this.ring.keys)
      if (activeFrom <= now && version > (best?.version ?? 0)) best = { version, key };
    if (!best) throw new SealedDataUnreadable('key', 'no key of this learner is in use yet');
    return best;
  }

  /** None of the parts holds a NUL, so no two places have the same context. */
  private context(...parts: string[]): string {
    return [...parts, this.userId].join('\0');
  }
}
