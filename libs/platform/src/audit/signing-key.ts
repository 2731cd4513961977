import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, randomUUID, type KeyObject } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { SETTINGS, type Settings } from '../config/config';
import { syncFolderNow } from '../security/keys/durable-files';

const FILE = 'audit-signing-key.pem';

/** A short name of a public key: the beginning of the SHA-256 of its DER form. */
export const keyIdOf = (key: KeyObject): string =>
  hash('sha256', key.export({ type: 'spki', format: 'der' }), 'hex').slice(0, 16);

/** The Ed25519 key that signs the audit log: that of the setting, else one of this data folder's own. */
@Injectable()
export class AuditKeys {
  private loaded?: KeyObject;

  constructor(@Inject(SETTINGS) private readonly settings: Settings) {}

  /** @throws if there is none, and none can be made */
  get signing(): KeyObject {
    return (this.loaded ??= createPrivateKey(this.settings.AUDIT_SIGNING_KEY ?? keptIn(this.settings.STUDENTLY_DATA_DIR)));
  }

  get public(): KeyObject {
    return createPublicKey(this.signing);
  }
}

/** The key in the folder, made the first time. Of several processes that make one, the first one's stays. */
function keptIn(folder: string): Buffer {
  const file = join(folder, FILE);
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const own = `${file}.${randomUUID()}`;
  try {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(own, pem, { mode: 0o600, flush: true });
    linkSync(own, file);
    syncFolderNow(folder); // what is signed with it could not be verified without it
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  return readFileSync(file);
}
