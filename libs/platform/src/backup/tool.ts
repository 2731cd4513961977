import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ConfigurationError } from '../config/config';
import { BackupFault } from './backup-fault';

export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

interface ToolOptions {
  signal?: AbortSignal;
  /** Of its output; then `out` is empty. */
  onLine?: (line: string) => void;
  /** Of what it says beside its output, as it comes. */
  onSaid?: (text: string) => unknown;
  /** Beside PATH and pgBackRest's own. */
  environment?: NodeJS.ProcessEnv;
}

/** So much of what a tool says is kept. */
const MOST = 64 * 1024 * 1024;

/**
 * Starts a tool of PostgreSQL as who may run it: PostgreSQL refuses root, and what root wrote it could not read; then it is the user
 * `postgres`. The tool ends with this process, also where that is killed.
 */
export function startTool(file: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const as = process.getuid?.() === 0 ? ['--reuid=postgres', '--regid=postgres', '--init-groups'] : [];
  const own = Object.entries(process.env).filter(([name]) => name === 'PATH' || name.startsWith('PGBACKREST_'));
  return spawn('setpriv', [...as, '--pdeathsig=TERM', file, ...args], {
    env: { ...Object.fromEntries(own), LC_ALL: 'C', ...environment },
    cwd: '/',
    detached: true, // what a terminal interrupts is this process, which ends the tool in its own way
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Runs it to its end. @throws ConfigurationError if it is not installed, BackupFault if it was interrupted */
export function runTool(
  file: string,
  args: readonly string[],
  { signal, onLine, onSaid, environment }: ToolOptions = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(interrupted());
    const child = startTool(file, args, environment);
    const said = { out: '', err: '' };
    const end = () => child.kill('SIGTERM');
    signal?.addEventListener('abort', end, { once: true });
    if (onLine) createInterface({ input: child.stdout! }).on('line', onLine);
    else child.stdout!.on('data', (chunk: Buffer) => said.out.length < MOST && (said.out += chunk.toString()));
    child.stderr!.on('data', (chunk: Buffer) => said.err.length < MOST && (said.err += chunk.toString()));
    if (onSaid) child.stderr!.on('data', (chunk: Buffer) => onSaid(chunk.toString()));
    child.once('error', () => reject(missing('setpriv', 'util-linux')));
    child.once('close', (code) => {
      signal?.removeEventListener('abort', end);
      if (signal?.aborted) reject(interrupted());
      else if (code === 127 || /setpriv: failed to execute/.test(said.err)) reject(missing(file, file));
      else resolve({ code, ...said });
    });
  });
}

export const interrupted = () => new BackupFault('BACKUP_INTERRUPTED', 'Interrupted; it can be run again.');

const missing = (file: string, name: string) =>
  new ConfigurationError(
    'BACKUP_TOOL_MISSING',
    `${file} is not there: install ${name}. It is needed on the machine of PostgreSQL (POSTGRES_BIN names the folder of its programs).`,
  );
