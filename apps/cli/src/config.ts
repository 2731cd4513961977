import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Logger } from '@nestjs/common';
import { diffConfig, readDeclared, type ConfigDiff, type Settings } from '@studently/platform';
import type { Command } from 'commander';
import { withDatabase } from './with-database';

const FINDINGS = 2;
const migrationUrl = (settings: Settings) => settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;

/** studently config diff */
export function addConfig(program: Command): void {
  const config = program.command('config').description('Compare what the servers are set to with what was declared.');
  config
    .command('diff')
    .description(
      'settings of the live servers that are not as declared, and which of them need a restart (exit 2 if there are any). ' +
        'Changes nothing. Connects by DATABASE_MIGRATION_URL, else DATABASE_URL; and by REDIS_URL.',
    )
    .argument('<file>', 'tuning.json, postgresql.conf or redis.conf, as `studently tune` writes them')
    .addHelpText('after', '\nExample:\n  npx studently config diff /etc/studently/tuning.json')
    .action(async (file: string, _: object, command: Command) => {
      Logger.overrideLogger(['error', 'fatal']); // a Redis that is away is told once
      const declared = readDeclared(read(file, command), basename(file).startsWith('redis'));
      const diff = await withDatabase(migrationUrl, (target, settings) => diffConfig(target, settings, declared));
      process.stdout.write(program.opts<{ json?: boolean }>().json ? `${JSON.stringify(diff)}\n` : inWords(diff));
      if (diff.differences.length > 0) process.exitCode = FINDINGS;
    });
}

function read(file: string, command: Command): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    return command.error(`error: it is a file that can be read (${(error as Error).message})`);
  }
}

function inWords({ equal, differences, notAsked }: ConfigDiff): string {
  const cells = differences.map(({ name, declared, live = 'not visible', needsRestart }) => [
    name,
    declared,
    live,
    needsRestart ? 'needs a restart' : '',
  ]);
  const table = [['setting', 'declared', 'live', ''], ...cells];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const mends = differences.map(({ mend }) => `→ ${mend}`);
  const silent = notAsked.length === 0 ? '' : `; ${notAsked.length} of Redis were not looked at: REDIS_URL is not set`;
  const count = `${equal} as declared, ${differences.length} not${silent}\n`;
  return differences.length === 0 ? count : `${[...lines, ...mends].join('\n')}\n${count}`;
}
