import {
  Migrations,
  planMigrations,
  type MigrationListener,
  type MigrationPlan,
  type MigrationStatus,
  type PlannedPart,
  type Settings,
} from '@studently/platform';
import { SingleBar } from 'cli-progress';
import { Option, type Command } from 'commander';
import { withDatabase } from './with-database';

const FINDINGS = 2;

const migrationUrl = (settings: Settings) => settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;
const listed = (names: string[]) => names.map((name) => `\n  ${name}`).join('') || ' none';
const inWords = (count: number) => count.toLocaleString('en');

interface Choices {
  yes?: boolean;
  all?: boolean;
  to?: string;
  dryRun?: boolean;
}

/** studently migrate plan | up | backfill | contract | down | status */
export function addMigrate(program: Command): void {
  const isForMachines = () => program.opts<{ json?: boolean }>().json === true;
  const say = (json: object, text: string) => void process.stdout.write(`${isForMachines() ? JSON.stringify(json) : text}\n`);
  const onMigrations = <T>(work: (migrations: Migrations) => Promise<T>) =>
    withDatabase(migrationUrl, (target) => {
      const listener = isForMachines() ? {} : progressOnTerminal();
      return work(new Migrations(target, listener)).finally(() => listener.stop?.());
    });

  const migrate = program
    .command('migrate')
    .description(
      'Bring the schema to this release and back, while it is in use: plan, up, then the processes of the release, backfill, and a release later ' +
        'contract. No lock stands in the way of a request for longer than 0.2 s. Connects by DATABASE_MIGRATION_URL, else DATABASE_URL.',
    );

  migrate
    .command('plan')
    .description(
      'what each pending migration will do, which locks it takes on which tables, and what is unsafe while the schema is in use (exit 2 if anything ' +
        'is); it is tried out on an empty copy of the schema, which takes some seconds, and changes nothing',
    )
    .addHelpText('after', '\nExample:\n  npx studently migrate plan')
    .action(async () => {
      const plan = await withDatabase(migrationUrl, (target) => planMigrations(target));
      say(plan, planText(plan));
      if (plan.findings.some(({ onPurpose }) => onPurpose === undefined)) process.exitCode = FINDINGS;
    });

  migrate
    .command('up')
    .description('apply what is pending; may be interrupted, run twice, and beside another run')
    .option('--dry-run', 'only say what it would apply')
    .addHelpText('after', '\nExample:\n  DATABASE_URL=postgres://admin@db/studently npx studently migrate up')
    .action(async ({ dryRun }: Choices) => {
      if (dryRun) {
        const { pending } = await onMigrations((migrations) => migrations.status());
        return say({ pending, dryRun }, `Would apply:${listed(pending)}`);
      }
      const [applied, { backfill }] = await onMigrations(async (migrations) => [
        await migrations.up(),
        await migrations.status(),
      ]);
      const next = backfill.length > 0 ? '\nThen, with the processes of this release: npx studently migrate backfill' : '';
      say(
        { applied },
        (applied.length > 0 ? `Applied:${listed(applied)}` : 'Nothing to do: the schema is that of this release.') + next,
      );
    });

  migrate
    .command('backfill')
    .description(
      'bring rows from before to the new schema, in short batches that wait for replicas; may be interrupted and goes on',
    )
    .option('--dry-run', 'only count what is left')
    .addHelpText('after', '\nExample:\n  npx studently migrate backfill')
    .action(async ({ dryRun }: Choices) => {
      const rowsOf = (counts: Record<string, number>) =>
        Object.entries(counts)
          .map(([name, rows]) => `\n  ${name}: ${inWords(rows)} rows`)
          .join('');
      if (dryRun) {
        const left = await onMigrations((migrations) => migrations.left());
        return say({ left, dryRun }, `Left:${rowsOf(left) || ' nothing'}`);
      }
      const changed = await onMigrations((migrations) => migrations.backfill());
      say(
        { changed },
        rowsOf(changed) ? `Complete:${rowsOf(changed)}` : 'Nothing to do: all rows are as this release wants them.',
      );
    });

  migrate
    .command('contract')
    .description('remove what only the release before needed; refuses while a backfill is not complete')
    .option('--yes', 'say that no process of the release before runs any more')
    .option('--dry-run', 'only say of which migrations')
    .addHelpText('after', '\nExample:\n  npx studently migrate contract --yes')
    .action(async ({ yes, dryRun }: Choices, command: Command) => {
      if (dryRun) {
        const { contract } = await onMigrations((migrations) => migrations.status());
        return say({ contract, dryRun }, `Would remove what is left over by:${listed(contract)}`);
      }
      if (!yes) command.error('error: say --yes if no process of the release before runs any more, or --dry-run');
      const contracted = await onMigrations((migrations) => migrations.contract());
      say({ contracted }, contracted.length > 0 ? `Removed what was left over by:${listed(contracted)}` : 'Nothing to remove.');
    });

  migrate
    .command('down')
    .description('take back the latest migration, with its data')
    .addOption(
      new Option('--to <name>', 'take back what came after this one: safe to say again when it was interrupted').conflicts(
        'all',
      ),
    )
    .option('--all', 'take back all of them')
    .option('--yes', 'say that you mean it: data is lost')
    .option('--dry-run', 'only say what it would take back')
    .addHelpText('after', '\nExample:\n  npx studently migrate down --to 0021_replicas --yes')
    .action(async ({ yes, to, all, dryRun }: Choices, command: Command) => {
      if (dryRun) {
        const reverted = await onMigrations((migrations) => migrations.toTakeBack({ to, all }));
        return say({ reverted, dryRun }, `Would take back:${listed(reverted)}`);
      }
      if (!yes) command.error('error: say --yes if you mean it: data is lost; or --dry-run');
      const reverted = await onMigrations((migrations) => migrations.down({ to, all }));
      say({ reverted }, reverted.length > 0 ? `Taken back:${listed(reverted)}` : 'Nothing to take back.');
    });

  migrate
    .command('status')
    .description('what is applied and what is open (exit 2 if anything is to be applied or to be filled)')
    .addHelpText('after', '\nExample:\n  npx studently --json migrate status')
    .action(async () => {
      const status = await onMigrations((migrations) => migrations.status());
      say(status, statusText(status));
      if (status.pending.length + status.backfill.length > 0) process.exitCode = FINDINGS;
    });
}

function statusText({ executed, pending, backfill, contract }: MigrationStatus): string {
  const open = [
    ...(backfill.length > 0 ? [`To be filled:${listed(backfill)}`] : []),
    ...(contract.length > 0 ? [`To be contracted, when the release before is gone:${listed(contract)}`] : []),
  ];
  return [`Applied:${listed(executed)}`, `Pending:${listed(pending)}`, ...open].join('\n');
}

function planText({ migrations, findings, squawk }: MigrationPlan): string {
  if (migrations.length === 0) return 'Nothing is pending.';
  const lines = migrations.flatMap(({ name, up, backfill, contract }) => [
    name,
    ...(up ? partText(up) : []),
    ...(backfill
      ? [
          `  ${backfill.file}: rows of ${backfill.table} in batches, by ${backfill.keys.join(', ')}` +
            (backfill.left === null ? '' : `; ${inWords(backfill.left)} are left`),
        ]
      : []),
    ...(contract ? partText(contract) : []),
  ]);
  const told = findings.map(
    ({ code, rule, file, line, statement, why, safeWay, onPurpose }) =>
      `${onPurpose === undefined ? code : 'on purpose'} ${rule}\n  ${file}:${line}: ${statement}\n  ${why}\n  ` +
      (onPurpose === undefined ? `The safe way: ${safeWay}` : `Because ${onPurpose}.`),
  );
  const unasked = squawk ? [] : ['There is no squawk for this machine: only our own rules were asked.'];
  return [...lines, '', ...(told.length > 0 ? told : ['Nothing is unsafe.']), ...unasked].join('\n');
}

const KINDS = {
  transaction: 'one transaction',
  validation: 'reads beside those who write',
  concurrent: 'beside those who write',
};

/** Step by step, each with the locks that it holds to its end. */
function partText({ file, statements }: PlannedPart): string[] {
  const steps = [...new Set(statements.map(({ step }) => step))];
  return steps.flatMap((step) => {
    const own = statements.filter((each) => each.step === step);
    return [
      `  ${file}, step ${step}: ${KINDS[own[0]!.kind]}`,
      ...own.map(({ line, code, locks, rewrites }) => {
        const effects = [
          ...locks.map(({ table, mode }) => `${lockName(mode)} on ${table}`),
          ...rewrites.map((table) => `writes ${table} anew`),
        ];
        return `    ${String(line).padStart(4)}  ${code.length > 90 ? `${code.slice(0, 89)}…` : code}${effects.length > 0 ? `\n          ${effects.join(', ')}` : ''}`;
      }),
    ];
  });
}

/** `AccessExclusiveLock` as the manual has it. */
const lockName = (mode: string) =>
  mode
    .replace(/Lock$/, '')
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toUpperCase();

/** Lines for a person on the standard error, and a bar where it is a terminal. */
function progressOnTerminal(): MigrationListener & { stop?: () => void } {
  const tell = (text: string) => void process.stderr.write(`${text}\n`);
  if (!process.stderr.isTTY) return { tell };
  const bar = new SingleBar({
    format: '{name} {bar} {percentage}% | {value} rows | {eta_formatted} left',
    gracefulExit: false,
    barsize: 30,
  });
  let shown = '';
  return {
    tell,
    progress: (name, { rows, of }) => {
      if (shown !== name) bar.start(of, 0, { name });
      shown = name;
      bar.setTotal(of);
      bar.update(rows);
    },
    stop: () => bar.stop(),
  };
}
