import { execFileSync, spawnSync } from 'node:child_process';
import { CHAT_CHECKS } from '@studently/ai-interactions';
import { examine, loadSettings, PLATFORM_CHECKS, type Report } from '@studently/platform';
import { CLI } from './studently';

const POSTGRES_BIN = '/usr/lib/postgresql/15/bin';

type Findings = Report['findings'];

export interface Patient {
  /** Where the doctor looks. */
  readonly url: string;
  readonly settings: NodeJS.ProcessEnv;
  readonly deep?: boolean;
  /** Names of checks; by default all but that of backups, as hardly any test makes one. */
  readonly only?: readonly string[];
}

/** What `studently doctor` finds, in this process. Notes are no findings. */
export async function findingsOf({ url, settings, deep = false, only }: Patient): Promise<Findings> {
  const report = await examine({
    target: { url, embedded: false },
    settings: loadSettings(settings),
    checks: [...PLATFORM_CHECKS, ...CHAT_CHECKS].filter(({ name }) => only?.includes(name) ?? name !== 'backups'),
    deep,
    tell: () => undefined,
  });
  return report.findings.filter(({ severity }) => severity !== 'note');
}

/** Runs what mends, as a person would: pasted into psql, or behind `$ ` into a shell. */
export function runMend(
  mend: string,
  url: string,
  options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): void {
  const { env, ...owner } = options;
  const environment = { PATH: `${POSTGRES_BIN}:${process.env['PATH']}`, ...env };
  if (!mend.startsWith('$ ')) {
    execFileSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', url], {
      input: mend,
      env: environment,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    return;
  }
  const command = mend.slice(2).replace('npx studently', `${process.execPath} ${CLI}`);
  // A server that is started keeps what it was given open.
  const { status } = spawnSync('bash', ['-c', command], { env: environment, stdio: 'ignore', cwd: '/tmp', ...owner });
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}
