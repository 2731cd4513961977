import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Matters of taste; what the runner sees to (it sets timeouts, and goes on where it was); and what the rehearsal knows better: whether
 * `set not null` reads the table, or a valid constraint says it all.
 */
const LEFT_OUT = [
  ...[
    'require-lock-timeout',
    'require-statement-timeout',
    'prefer-robust-stmts',
    'prefer-bigint-over-int',
    'prefer-bigint-over-smallint',
  ],
  ...[
    'prefer-text-field',
    'prefer-identity',
    'prefer-timestamptz',
    'ban-char-field',
    'require-timeout-settings',
    'identifier-too-long',
    'adding-not-nullable-field',
  ],
];

export interface SquawkFinding {
  /** Of the text in the list that was given. */
  readonly text: number;
  readonly rule: string;
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
  readonly help: string | null;
}

interface Reported {
  file: string;
  line: number;
  rule_name: string;
  message: string;
  help: string | null;
}

/**
 * What squawk (squawkhq.com) has against these scripts.
 * @returns undefined where there is no squawk for this machine
 */
export async function squawk(
  texts: readonly string[],
  { inTransaction }: { inTransaction: boolean },
): Promise<SquawkFinding[] | undefined> {
  if (texts.length === 0) return [];
  const folder = mkdtempSync(join(tmpdir(), 'studently-squawk-'));
  try {
    const files = texts.map((text, index) => {
      const file = join(folder, `${index}.sql`);
      writeFileSync(file, text);
      return file;
    });
    const program = createRequire(__filename).resolve('squawk-cli/js/bin/squawk');
    const options = ['--reporter=json', '--pg-version=15', `--exclude=${LEFT_OUT.join(',')}`];
    if (inTransaction) options.push('--assume-in-transaction');
    const args = [program, ...options, ...files];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, maxBuffer: 2 ** 26 }).catch(
      (error: unknown) => error as { stdout: string }, // it ends with 1 if it has found something
    );
    if (!stdout?.startsWith('[')) return undefined;
    return (JSON.parse(stdout) as Reported[]).map(({ file, line, rule_name: rule, message, help }) => ({
      text: files.indexOf(file),
      rule,
      line: line + 1,
      message,
      help,
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
