import { QueryBus } from '@nestjs/cqrs';
import { FindUser } from '@studently/identity';
import { KeyMaintenance, loadSettings, openKeys, type KeyStatus, type Settings } from '@studently/platform';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { withContexts } from './with-contexts';
import { withDatabase } from './with-database';

const FINDINGS = 2;
const migrationUrl = (settings: Settings) => settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;
const inWords = (count: number) => count.toLocaleString('en');

function maintain<T>(work: (maintenance: KeyMaintenance) => Promise<T>, tell?: (sealed: number) => void): Promise<T> {
  return withDatabase(migrationUrl, async (target) => KeyMaintenance.run(target, await openKeys(loadSettings()), work, tell));
}

/** studently keys status | seal | rotate | rotate-master */
export function addKeys(program: Command): void {
  const isForMachines = () => program.opts<{ json?: boolean }>().json === true;
  const say = (json: object, text: string) => process.stdout.write(`${isForMachines() ? JSON.stringify(json) : text}\n`);
  const keys = program
    .command('keys')
    .description(
      'Look after the keys that seal what learners write. Connects by DATABASE_MIGRATION_URL, else DATABASE_URL; ' +
        'needs the MASTER_KEY_FILE and KEYS_DIR of the API. Each command may be interrupted and run again.',
    );

  keys
    .command('status')
    .description('which keys there are, and what is not sealed yet (exit 2 if anything is)')
    .addHelpText('after', '\nExample:\n  npx studently keys status')
    .action(async () => {
      const status = await maintain((maintenance) => maintenance.status());
      say(status, statusText(status));
      if (status.columns.some(({ readable }) => readable > 0)) process.exitCode = FINDINGS;
    });

  keys
    .command('seal')
    .description('seal what was written by a release without keys, while the API runs')
    .addHelpText('after', '\nExample:\n  npx studently keys seal')
    .action(async () => {
      const bar = progressBar(isForMachines());
      const sealed = await maintain(async (maintenance) => {
        bar.start(await maintenance.readable());
        return maintenance.seal();
      }, bar.add).finally(bar.stop);
      say({ sealed }, sealed === 0 ? 'Nothing to do: all is sealed.' : `${inWords(sealed)} values sealed.`);
    });

  keys
    .command('rotate')
    .description('new keys for learners; their data is sealed anew while the API runs, and the old keys are destroyed')
    .option('--user <email or id>', 'one learner')
    .option('--all', 'every learner')
    .addHelpText('after', '\nExample:\n  npx studently keys rotate --user ada@example.org')
    .action(async ({ user, all }: { user?: string; all?: boolean }, command: Command) => {
      if ((user === undefined) === !all) command.error('error: say --user <email or id>, or --all');
      const only = user === undefined ? undefined : await idOf(user);
      const { sealed, unreadable } = await maintain((maintenance) => maintenance.rotate(only));
      const left = unreadable === 0 ? '' : ` ${inWords(unreadable)} cannot be opened: their learners keep the old key as well.`;
      say({ sealed, unreadable }, `${inWords(sealed)} values sealed anew.${left}`);
      if (unreadable > 0) process.exitCode = FINDINGS;
    });

  keys
    .command('rotate-master')
    .description('wrap all keys by the first master key of MASTER_KEY_FILE; afterwards the lines of older ones may go')
    .addHelpText(
      'after',
      '\nBefore: put a new line first in MASTER_KEY_FILE and start every process again.\n\nExample:\n  npx studently keys rotate-master',
    )
    .action(async () => {
      const learners = await maintain((maintenance) => maintenance.rotateMaster());
      say(
        { learners },
        `The keys of ${inWords(learners)} learners are wrapped anew. Older master keys are not needed any more.`,
      );
    });
}

async function idOf(user: string): Promise<string> {
  const found = await withContexts((app) => app.get(QueryBus).execute(new FindUser(user)));
  if (!found) throw new Error('No user has this address or id.');
  return found.userId;
}

function statusText({ currentMaster, learners, wrappedBy, rotating, columns }: KeyStatus): string {
  const wrapped = Object.entries(wrappedBy).map(([id, count]) => `\n  ${inWords(count)} keys wrapped by ${id}`);
  const width = Math.max(...columns.map(({ column }) => column.length));
  const rows = columns.map(
    ({ column, sealed, readable }) => `\n  ${column.padEnd(width)}  ${inWords(sealed)} sealed, ${inWords(readable)} readable`,
  );
  return `Master key: ${currentMaster}\n${inWords(learners)} learners have keys, ${inWords(rotating)} get new ones${wrapped.join('')}\nValues:${rows.join('')}`;
}

/** On a terminal only. */
function progressBar(isQuiet: boolean) {
  if (isQuiet || !process.stderr.isTTY) return { start: () => undefined, add: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: '{bar} {percentage}% | {value} sealed | {eta_formatted} left',
    gracefulExit: false,
    barsize: 30,
  });
  return {
    start: (total: number) => bar.start(total, 0),
    add: (sealed: number) => bar.increment(sealed),
    stop: () => bar.stop(),
  };
}
