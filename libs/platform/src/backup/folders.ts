import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  rmdirSync,
  statfsSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BackupFault } from './backup-fault';

/** Whoever runs PostgreSQL's tools (see `startTool`) gets it, for itself alone. */
export function giveAway(folder: string, ...files: string[]): void {
  chmodSync(folder, 0o700);
  if (process.getuid?.() !== 0) return;
  const [, , uid, gid] = /^postgres:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[0].split(':') ?? [];
  if (uid === undefined)
    throw new BackupFault('BACKUP_FAILED', 'There is no user postgres on this machine: run it as the user of PostgreSQL.');
  for (const path of [folder, ...files]) chownSync(path, Number(uid), Number(gid));
}

/** @throws BackupFault if there is anything at `target`, or not enough room for so many bytes */
export function expectEmpty(target: string, bytes: number): void {
  if (existsSync(target) && !isEmptyFolder(target)) {
    throw new BackupFault(
      'BACKUP_TARGET_NOT_EMPTY',
      `${target} is there, and not empty: name an empty folder, or one that is not there. What an interrupted restore has left may be removed.`,
    );
  }
  let place = resolve(target);
  while (!existsSync(place)) place = dirname(place);
  const { bavail, bsize } = statfsSync(place);
  const free = bavail * bsize;
  if (free < bytes) {
    throw new BackupFault(
      'BACKUP_DISK_FULL',
      `${megabytes(bytes)} are needed at ${target}, and ${megabytes(free)} are free: name another target.`,
    );
  }
}

/** Runs `work` in the folder, made if it is not there; afterwards it is as it was before, if the work fails. */
export async function inEmptyFolder<T>(target: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = resolve(target);
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    return await work(folder);
  } catch (error) {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
    // Also the folders above it that were made for it.
    for (let at = folder; made !== undefined && at.startsWith(made); at = dirname(at)) rmdirSync(at);
    throw error;
  }
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toLocaleString('en', { maximumFractionDigits: 1 })} MB`;

function isEmptyFolder(path: string): boolean {
  try {
    return readdirSync(path).length === 0;
  } catch {
    return false;
  }
}

/** Those that this process has made. In a container it often has the number of the one that was killed before it. */
const made = new Set<string>();

/** A folder for this process's temporary things, named so that `removeLeftovers` knows whose it was. */
export function ownFolder(place: string, name: string): string {
  removeLeftovers(place, name);
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(place, `${name}-${process.pid}-`));
  made.add(folder);
  return folder;
}

/** What processes that were killed have left. */
function removeLeftovers(place: string, name: string): void {
  for (const entry of existsSync(place) ? readdirSync(place) : []) {
    const pid = new RegExp(`^${name}-(\\d+)-`).exec(entry)?.[1];
    if (pid === undefined) continue;
    const folder = join(place, entry);
    const isInUse = Number(pid) === process.pid ? made.has(folder) : isAlive(Number(pid));
    if (!isInUse) rmSync(folder, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
