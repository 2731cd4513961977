import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { dirname, join } from 'node:path';
import { ConfigurationError } from '@studently/platform';

/** Made by scripts/common-passwords.mjs, beside the project's package.json. */
const FILE = 'build/common-passwords.bin';

/**
 * The passwords that everybody tries first, as the sorted first 64 bits of their SHA-256: 3.8 MB for 474,743 of them.
 * One that is in the list is always found; another one is mistaken for it once in 4 · 10¹³ times (entries ÷ 2⁶⁴).
 */
export class CommonPasswords {
  private constructor(private readonly prefixes: BigUint64Array) {}

  /** @throws ConfigurationError if it has not been built: without it any password would do */
  static load(file = join(projectFolder(), FILE)): CommonPasswords {
    if (!existsSync(file)) {
      throw new ConfigurationError('COMMON_PASSWORDS_MISSING', `${FILE} is not there. To make it, run: npm run build`);
    }
    const bytes = new Uint8Array(readFileSync(file)); // a copy of its own, so that it begins at a multiple of 8
    if (endianness() === 'BE') Buffer.from(bytes.buffer).swap64();
    return new CommonPasswords(new BigUint64Array(bytes.buffer));
  }

  get size(): number {
    return this.prefixes.length;
  }

  get bytes(): number {
    return this.prefixes.byteLength;
  }

  /** @param normalised NFC, in lower case */
  has(normalised: string): boolean {
    const wanted = createHash('sha256').update(normalised).digest().readBigUInt64LE();
    let [low, high] = [0, this.prefixes.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.prefixes[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return this.prefixes[low] === wanted;
  }
}

function projectFolder(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}
