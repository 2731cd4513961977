import { Migrations, type Settings } from '@studently/platform';
import type { Command } from 'commander';
import { withDatabase } from './with-database';

const FINDINGS = 2;

const migrationUrl = (settings: Settings) => settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;
const onMigrations = <T>(work: (migrations: Migrations) => Promise<T>) =>
  withDatabase(migrationUrl, (target) => work(new Migrations(target)));

/** studently migrate up | down | status */
export function addMigrate(program: Command): void {
  const say = (json: object, text: string) =>
    process.stdout.write(`${program.opts<{ json?: boolean }>().json ? JSON.stringify(json) : text}\n`);
  const listed = (names: string[]) => names.map((name) => `\n  ${name}`).join('');

  const migrate = program
    .command('migrate')
    .description('Bring the schema to this release and back. Connects by DATABASE_MIGRATION_URL, else DATABASE_URL.');

  migrate
    .command('up')
    .description('apply what is pending; may run twice, and beside another run')
    .addHelpText('after', '\nExample:\n  DATABASE_URL=postgres://admin@db/studently npx studently migrate up')
    .action(async () => {
      const applied = await onMigrations((migrations) => migrations.up());
      say(
        { applied },
        applied.length > 0 ? `Applied:${listed(applied)}` : 'Nothing to do: the schema is that of this release.',
      );
    });

  migrate
    .command('down')
    .description('take back the latest migration, with its data')
    .option('--all', 'take back all of them')
    .requiredOption('--yes', 'say that you mean it: data is lost')
    .addHelpText('after', '\nExample:\n  npx studently migrate down --yes')
    .action(async ({ all }: { all?: boolean }) => {
      const reverted = await onMigrations((migrations) => migrations.down({ all }));
      say({ reverted }, reverted.length > 0 ? `Taken back:${listed(reverted)}` : 'Nothing to take back.');
    });

  migrate
    .command('status')
    .description('what is applied and what is pending (exit 2 if anything is)')
    .addHelpText('after', '\nExample:\n  npx studently --json migrate status')
    .action(async () => {
      const status = await onMigrations((migrations) => migrations.status());
      say(status, `Applied:${listed(status.executed) || ' none'}\nPending:${listed(status.pending) || ' none'}`);
      if (status.pending.length > 0) process.exitCode = FINDINGS;
    });
}
