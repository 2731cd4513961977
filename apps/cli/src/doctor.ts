import { Logger } from '@nestjs/common';
import { CHAT_CHECKS } from '@studently/ai-interactions';
import { examine, PLATFORM_CHECKS, type Report, type Settings } from '@studently/platform';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { withDatabase } from './with-database';

const FINDINGS = 2;
const CHECKS = [...PLATFORM_CHECKS, ...CHAT_CHECKS];
const migrationUrl = (settings: Settings) => settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;

interface Options {
  deep?: boolean;
  json?: boolean;
}

/** studently doctor */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      'What is wrong with the database, and with Redis if there is one, and the command that mends each finding (exit 2 if there is any). ' +
        'Changes nothing. Connects by DATABASE_MIGRATION_URL, else DATABASE_URL; PostgreSQL itself, no pooler.',
    )
    .option('--deep', 'also read all data: damaged pages, rows without their parents, broken constraints, gaps in chats')
    .addHelpText(
      'after',
      '\nWhat mends is SQL for psql, or a command for a shell after $.\n\nExample:\n  npx studently doctor --deep',
    )
    .action(async (_: Options, command: Command) => {
      const { deep = false, json = false } = command.optsWithGlobals<Options>();
      Logger.overrideLogger(['error', 'fatal']); // what is away is told once, among the findings
      const bar = showProgress(json);
      const report = await withDatabase(migrationUrl, (target, settings) =>
        examine({ target, settings, checks: CHECKS, deep, tell: bar.update }),
      ).finally(bar.end);
      process.stdout.write(json ? `${JSON.stringify(report)}\n` : inWords(report, deep));
      if (report.findings.some(({ severity }) => severity !== 'note')) process.exitCode = FINDINGS;
    });
}

function inWords({ examined, left, findings }: Report, deep: boolean): string {
  const width = Math.max(0, ...findings.map(({ check }) => check.length));
  const margin = ' '.repeat('critical'.length + width + 4);
  const lines = findings.flatMap(({ severity, check, what, mend }) => [
    `${severity.padEnd('critical'.length)}  ${check.padEnd(width)}  ${what}`,
    `${margin}→ ${mend}`,
  ]);
  for (const why of new Set(left.map((one) => one.why))) {
    const names = left.filter((one) => one.why === why).map(({ check }) => check);
    lines.push(`Not examined, as ${why}: ${names.join(', ')}`);
  }
  const count = findings.filter(({ severity }) => severity !== 'note').length;
  const hint = deep ? '' : ' (--deep reads all data as well)';
  lines.push(
    `${examined.length} checks, ${count === 0 ? 'no findings' : count === 1 ? '1 finding' : `${count} findings`}${hint}`,
  );
  return `${lines.join('\n')}\n`;
}

/** On a terminal only. */
function showProgress(json: boolean) {
  if (json || !process.stderr.isTTY) return { update: () => undefined, end: () => undefined };
  const bar = new SingleBar({
    format: '{bar} {check} {value}/{total}',
    gracefulExit: false,
    barsize: 30,
    clearOnComplete: true,
  });
  let current = '';
  return {
    update: (check: string, done: number, of: number) => {
      if (check !== current) bar.start(of, done, { check });
      current = check;
      bar.setTotal(of);
      bar.update(done);
    },
    end: () => bar.stop(),
  };
}
