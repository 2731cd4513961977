import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Makes the list of common passwords if it is not there, as every npm script does before it runs. */
export function buildCommonPasswords(): void {
  execFileSync(process.execPath, [join(__dirname, '../../scripts/common-passwords.mjs')], { stdio: 'inherit' });
}
