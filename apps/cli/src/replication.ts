import {
  checkReplication,
  ConfigurationError,
  loadSettings,
  StandbySetup,
  type DatabaseTarget,
  type ReplicationReport,
  type StandbyPlan,
  type StandbyState,
} from '@studently/platform';
import { InvalidArgumentError, type Command } from 'commander';
import { columns } from './columns';
import { working } from './working';

const FINDINGS = 2;

interface SetupOptions {
  target: string;
  name: string;
  port?: number;
  dryRun?: boolean;
}

/** studently replication setup | check */
export function addReplication(program: Command): void {
  const isForMachines = () => program.opts<{ json?: boolean }>().json === true;
  const say = (json: object, text: string) => process.stdout.write(`${isForMachines() ? JSON.stringify(json) : text}\n`);
  const replication = program
    .command('replication')
    .description(
      'Standbys: make one, and see whether they hold what the primary holds. DATABASE_MIGRATION_URL is the primary.',
    );

  replication
    .command('setup')
    .description(
      'make a standby of the primary on this machine, as the user of PostgreSQL (or root); the primary goes on meanwhile. ' +
        'DATABASE_REPLICATION_URL has the login that may replicate.',
    )
    .requiredOption('--target <dir>', 'its data folder: an empty one, or one that is not there')
    .option('--name <name>', 'as which the primary knows it, and its slot', readName, 'standby1')
    .option('--port <port>', 'on which it will listen (without it, that of its configuration)', readPort)
    .option('--dry-run', 'only check, and say what would be done')
    .addHelpText(
      'after',
      '\nExample:\n  npx studently replication setup --target /var/lib/postgresql/15/standby1 --name standby1 --port 5433',
    )
    .action(async ({ dryRun = false, ...wish }: SetupOptions) => {
      const { settings, primary } = reach();
      const setup = new StandbySetup(settings, primary, wish);
      const plan = dryRun ? await setup.plan() : await working((doing) => setup.make(doing), isForMachines());
      say({ ...plan, ...wish, dryRun }, inWords(plan, wish, dryRun));
    });

  replication
    .command('check')
    .description(
      'whether standbys stream, by slots with a limit, how far they are behind, and whether those that are named hold the same rows, ' +
        'compared by checksums at one place of the WAL (exit 2 if not)',
    )
    .argument('[addresses...]', 'host:port of standbys to compare, by the login of DATABASE_MIGRATION_URL', readAddress)
    .addHelpText('after', '\nExample:\n  npx studently replication check 10.0.0.2:5432 10.0.0.3:5432')
    .action(async (addresses: string[] | undefined) => {
      const { settings, primary } = reach();
      const tell = isForMachines() || !process.stderr.isTTY ? undefined : (what: string) => process.stderr.write(`${what}\n`);
      const report = await checkReplication(primary, settings, addresses ?? [], tell);
      say(report, reportInWords(report));
      if (report.findings.length > 0) process.exitCode = FINDINGS;
    });
}

function reach() {
  const settings = loadSettings();
  const url = settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;
  if (!url)
    throw new ConfigurationError('REPLICATION_EMBEDDED', 'An embedded database has no standbys: set DATABASE_MIGRATION_URL.');
  const primary: DatabaseTarget = { url, embedded: false };
  return { settings, primary };
}

function inWords({ steps, advice, isMade }: StandbyPlan, { target, name, port }: SetupOptions, dryRun: boolean): string {
  const address = `<host>:${port ?? 5432}`;
  const start =
    `Start it: pg_ctl start -D ${target} (or your service manager; on Debian with a configuration of its own, like the primary's).\n` +
    `Then: npx studently replication check ${address}`;
  if (isMade) return `${target} is the standby ${name} already.\n${start}`;
  const limit = advice.map(
    (command) => `Its slot may fill the disk of the primary while it is away. On the primary:\n→ ${command}`,
  );
  if (dryRun) return [...steps.map((step, nr) => `${nr + 1}. ${step}`), ...limit].join('\n');
  return [`${target} is the standby ${name}.`, ...limit, start].join('\n');
}

function reportInWords({ timeline, lsn, slotLimit, standbys, findings }: ReplicationReport): string {
  const rows = standbys.map((standby) => [
    standby.name,
    standby.state,
    standby.slot ?? 'none',
    String(standby.timeline ?? '?'),
    standby.bytesBehind === null ? '?' : standby.bytesBehind.toLocaleString('en'),
    standby.secondsBehind === null ? 'late' : standby.secondsBehind.toFixed(3),
    equalityOf(standby),
  ]);
  const table = columns(['standby', 'state', 'slot', 'timeline', 'bytes behind', 's behind', 'rows'], rows);
  return [
    `primary: timeline ${timeline}, WAL at ${lsn}, max_slot_wal_keep_size ${slotLimit}`,
    ...(standbys.length > 0 ? [table] : []),
    ...findings.flatMap(({ severity, what, mend }) => [
      `${severity.padEnd('critical'.length)}  ${what}`,
      `          → ${mend}`,
    ]),
    findings.length === 0 ? 'No findings' : `${findings.length} finding${findings.length === 1 ? '' : 's'}`,
  ].join('\n');
}

function equalityOf({ equality }: StandbyState): string {
  if (!equality) return 'not compared';
  const { rows, tables, lsn, differences } = equality;
  return differences.length > 0 ? `differ at ${lsn}` : `the same ${rows.toLocaleString('en')} in ${tables} tables at ${lsn}`;
}

function readName(text: string): string {
  if (/^[a-z0-9_]{1,63}$/.test(text)) return text;
  throw new InvalidArgumentError('It is of small letters, digits and _.');
}

function readPort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError('It is a number from 1 to 65535.');
}

function readAddress(text: string, before: string[] = []): string[] {
  if (/^(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}$/.test(text)) return [...before, text];
  throw new InvalidArgumentError('It is host:port, like 10.0.0.2:5432.');
}
