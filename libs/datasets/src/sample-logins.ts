import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What POST /v1/sessions wants. */
export interface SampleLogin {
  email: string;
  password: string;
}

/** The logins of the sample, one file each in a folder that only its owner enters. */
export class SampleLogins {
  constructor(readonly folder: string) {}

  get exist(): boolean {
    return existsSync(this.folder);
  }

  /** The folder appears with all of its files, before anybody is registered: after a kill it goes on with the same ones. */
  async invent(names: readonly string[]): Promise<void> {
    const unfinished = `${this.folder}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { mode: 0o700, recursive: true });
    for (const name of names) {
      const login: SampleLogin = { email: `${name}@example.org`, password: randomBytes(18).toString('base64url') };
      await writeFile(join(unfinished, `${name}.json`), `${JSON.stringify(login)}\n`, { mode: 0o600 });
    }
    await rename(unfinished, this.folder);
  }

  fileOf(name: string): string {
    return join(this.folder, `${name}.json`);
  }

  async of(name: string): Promise<SampleLogin> {
    return JSON.parse(await readFile(this.fileOf(name), 'utf8')) as SampleLogin;
  }

  /** Whether everything that belongs to the sample has been made. */
  get isComplete(): boolean {
    return existsSync(join(this.folder, 'complete'));
  }

  async complete(): Promise<void> {
    await writeFile(join(this.folder, 'complete'), '', { mode: 0o600 });
  }
}
