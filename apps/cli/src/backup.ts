import {
  BACKUP_TYPES,
  drillBackups,
  lastProven,
  loadSettings,
  openBackups,
  reportInWords,
  type Backup,
  type BackupType,
  type Point,
  type Settings,
} from '@studently/platform';
import { tmpdir } from 'node:os';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { readTime } from './audit';
import { working } from './working';

const FINDINGS = 2;

/** studently backup run | list | check | expire | restore | drill */
export function addBackup(program: Command): void {
  const isForMachines = () => program.opts<{ json?: boolean }>().json === true;
  const say = (json: object, text: string) => process.stdout.write(`${isForMachines() ? JSON.stringify(json) : text}\n`);
  const backups = () => openBackups(loadSettings());
  const backup = program
    .command('backup')
    .description(
      'Back the database up, and prove that it can be restored. Runs on the machine of PostgreSQL, as its user (or root), with pgBackRest; ' +
        'an embedded database by itself, also while it runs. Connects by DATABASE_MIGRATION_URL, else DATABASE_URL.',
    )
    .addHelpText(
      'after',
      '\nExit codes beyond those of every command: 20 the point in time cannot be reached, 21 wrong key, 22 a WAL segment is missing,' +
        '\n23 a WAL segment is damaged, 24 the backup is damaged, 25 the disk is full, 26 the target is not empty, 27 there is no backup,' +
        '\n28 another backup runs.\n\nExample:\n  npx studently backup run --type full',
    );

  backup
    .command('run')
    .description('make a backup with a marker that drills compare with, and remove what is too old')
    .addOption(
      new Option('--type <type>', 'all; what has changed since the last full one; since the last one').choices(BACKUP_TYPES),
    )
    .option('--dry-run', 'only say what would be done')
    .addHelpText('after', '\nExample:\n  npx studently backup run --type diff')
    .action(async ({ type = usualType(loadSettings()), dryRun }: { type?: BackupType; dryRun?: boolean }) => {
      if (dryRun) return planned(await backups().plan(type));
      const made = await working((doing) => backups().run(type, doing), isForMachines());
      say(
        shown(made),
        `${made.label} is made: ${inMegabytes(made.size)}, ${inMegabytes(made.stored)} in the repository, ${duration(made)} s.`,
      );
    });

  backup
    .command('list')
    .description('what can be restored')
    .addHelpText('after', '\nExample:\n  npx studently --json backup list')
    .action(async () => {
      const { backups: all, archive } = await backups().list();
      const proven = lastProven(loadSettings());
      const json = { backups: all.map(shown), archive: archive ?? null, lastProvenAt: proven?.endedAt ?? null };
      const rows = all.map((each) => [
        each.label,
        each.type,
        each.endedAt,
        inMegabytes(each.size),
        inMegabytes(each.stored),
        `${duration(each)} s`,
        each.marker ? 'yes' : 'no',
      ]);
      const lines = [...table([['backup', 'type', 'ended', 'size', 'stored', 'took', 'marker'], ...rows])];
      if (archive) lines.push(`WAL from ${archive.first} to ${archive.last}`);
      lines.push(
        proven ? `Proven last at ${proven.endedAt}: ${proven.backup!.label}` : 'Never proven: npx studently backup drill',
      );
      say(json, all.length === 0 ? 'There is no backup yet: npx studently backup run' : lines.join('\n'));
    });

  backup
    .command('check')
    .description('read all that is kept, and try the archiving: is anything damaged or missing? (exit 2 if so)')
    .addHelpText('after', '\nExample:\n  npx studently backup check')
    .action(async () => {
      const findings = await working((doing) => backups().check(doing), isForMachines());
      say({ findings }, findings.length === 0 ? 'Nothing is damaged, nothing is missing.' : findings.join('\n'));
      if (findings.length > 0) process.exitCode = FINDINGS;
    });

  backup
    .command('expire')
    .description('remove what is older than is to be kept (BACKUP_KEEP); every run does this as well')
    .option('--dry-run', 'only say what would be removed')
    .addHelpText('after', '\nExample:\n  npx studently backup expire --dry-run')
    .action(async ({ dryRun = false }: { dryRun?: boolean }) => {
      const removed = await backups().expire(dryRun);
      const verb = dryRun ? 'Would be removed' : 'Removed';
      say({ removed, dryRun }, removed.length === 0 ? 'Nothing is too old.' : `${verb}: ${removed.join(', ')}`);
    });

  backup
    .command('restore')
    .description('restore into an empty folder; nothing else is touched, and if it fails the folder is as it was')
    .requiredOption('--to <point>', 'latest, a time (UTC), the name of a backup, or of a restore point', readPoint)
    .requiredOption('--target <dir>', 'an empty folder, or one that is not there')
    .option('--dry-run', 'only say what would be done')
    .addHelpText(
      'after',
      '\nExample:\n  npx studently backup restore --to 2026-11-29T08:59:59Z --target /var/lib/postgresql/15/restored',
    )
    .action(async ({ to, target, dryRun }: { to: Point; target: string; dryRun?: boolean }) => {
      if (dryRun) return planned(await backups().planRestore(to, target));
      const restored = await working((doing) => backups().restore(to, target, doing), isForMachines());
      const last = restored.lastTransaction ?? 'that of the backup';
      say(
        restored,
        `${restored.target} is restored from ${restored.label} in ${restored.seconds.toFixed(1)} s.\nIts last transaction: ${last}\n${restored.advice}`,
      );
    });

  backup
    .command('drill')
    .description(
      'prove the latest backup: restore it beside everything, compare and check all of it, remove it (exit 2 if anything is wrong)',
    )
    .option('--dry-run', 'only say what would be done')
    .addHelpText(
      'after',
      '\nThe copy is in TMPDIR while it is checked; the signed report is kept in STUDENTLY_DATA_DIR/drills.\n\nExample:\n  npx studently backup drill',
    )
    .action(async ({ dryRun }: { dryRun?: boolean }) => {
      if (dryRun) return planned(await planOfDrill());
      const { report, file, fault } = await working((doing) => drillBackups(loadSettings(), doing), isForMachines());
      say({ ...report, file }, `${reportInWords(report)}\nSigned report: ${file}`);
      if (fault) throw fault;
      if (!report.ok) process.exitCode = FINDINGS;
    });

  async function planOfDrill(): Promise<string> {
    const { backups: all } = await backups().list();
    const latest = all.findLast(({ marker }) => marker);
    if (!latest) return 'There is no backup with a marker: npx studently backup run';
    return `Restore ${inMegabytes(latest.size)} of ${latest.label} to a folder in ${tmpdir()}, compare it with its marker, replay the archive, check the copy, and remove it.`;
  }

  function planned(plan: string): void {
    say({ dryRun: true, plan }, plan);
  }
}

const usualType = ({ DATABASE_MIGRATION_URL, DATABASE_URL }: Settings): BackupType =>
  (DATABASE_MIGRATION_URL ?? DATABASE_URL) ? 'incr' : 'full';

/** The marker is for drills. */
const shown = ({ marker, ...rest }: Backup) => ({ ...rest, seconds: duration(rest), marker: marker?.at ?? null });

const duration = ({ startedAt, endedAt }: Backup) => Math.round((Date.parse(endedAt) - Date.parse(startedAt)) / 1000);
const inMegabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

function table(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

function readPoint(text: string): Point {
  if (text === 'latest') return { kind: 'latest' };
  if (/^\d{4}-\d\d-\d\d([T ]|$)/.test(text)) return { kind: 'time', at: readTime(text) };
  if (/^[\w.-]{1,63}$/.test(text)) return { kind: 'name', name: text };
  throw new InvalidArgumentError('It is latest, a time (2026-11-29T08:59:59Z), or a name.');
}
