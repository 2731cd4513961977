import { createCipheriv, createDecipheriv, randomBytes, type KeyObject } from 'node:crypto';
import { DomainError } from '../../errors/domain-error';

/** Raise it when the layout changes; older layouts stay readable. */
const LAYOUT = 1;
const HEADER_BYTES = 3;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SHORTEST = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/** What is sealed cannot be opened: it was changed or moved, or its key is not here. It is never shown as empty. */
export class SealedDataUnreadable extends DomainError {
  constructor(place: string, why: string) {
    super('unavailable', 'SEALED_DATA_UNREADABLE', `Sealed data (${place}) cannot be opened: ${why}.`, {
      retryAfterSeconds: 60,
    });
  }
}

export interface DataKey {
  /** 1–65,535, of one learner's keys. */
  readonly version: number;
  readonly key: KeyObject;
}

/**
 * AES-256-GCM with a random nonce: layout | key version (2 bytes) | nonce (12) | ciphertext | tag (16).
 * @param context authenticated with it: what the data is and where it belongs. Elsewhere it does not open.
 */
export function sealBytes({ version, key }: DataKey, plain: string | Buffer, context: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(LAYOUT, 0);
  header.writeUInt16BE(version, 1);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.concat([header, Buffer.from(context)]));
  const start = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain);
  return Buffer.concat([header, nonce, start, cipher.final(), cipher.getAuthTag()]);
}

/** The version of the key that it is sealed with. @throws SealedDataUnreadable for what is no envelope of a known layout */
export function keyVersionOf(sealed: Buffer, place: string): number {
  if (sealed.length < SHORTEST || sealed[0] !== LAYOUT) throw new SealedDataUnreadable(place, 'it is not an envelope');
  return sealed.readUInt16BE(1);
}

/** @throws SealedDataUnreadable if a single bit of it, or anything of its context, is another */
export function openBytes(
  keyOf: (version: number) => KeyObject | undefined,
  sealed: Buffer,
  context: string,
  place: string,
): Buffer {
  const key = keyOf(keyVersionOf(sealed, place));
  if (!key) throw new SealedDataUnreadable(place, 'there is no key of this version');
  const nonce = sealed.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.concat([sealed.subarray(0, HEADER_BYTES), Buffer.from(context)]));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const start = decipher.update(sealed.subarray(HEADER_BYTES + NONCE_BYTES, sealed.length - TAG_BYTES));
  try {
    const end = decipher.final();
    return end.length > 0 ? Buffer.concat([start, end]) : start;
  } catch {
    throw new SealedDataUnreadable(place, 'it was changed, or belongs elsewhere');
  }
}
