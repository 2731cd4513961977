import { databaseStatus, type Settings } from '@studently/platform';
import type { Command } from 'commander';
import { withDatabase } from './with-database';

const url = (settings: Settings) => settings.DATABASE_URL;

/** studently status */
export function addStatus(program: Command): void {
  program
    .command('status')
    .description('what the database is and what it holds, in numbers')
    .addHelpText('after', '\nExample:\n  npx studently status')
    .action(async () => {
      const status = await withDatabase(url, databaseStatus);
      if (program.opts<{ json?: boolean }>().json) return void process.stdout.write(`${JSON.stringify(status)}\n`);
      const width = Math.max(...Object.keys(status).map((name) => name.length));
      for (const [name, value] of Object.entries(status)) process.stdout.write(`${name.padEnd(width)}  ${value}\n`);
    });
}
