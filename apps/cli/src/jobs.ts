import { DeadLetters, type DeadLetter, type JobCounts, type Settings } from '@studently/platform';
import { InvalidArgumentError, type Command } from 'commander';
import { withDatabase } from './with-database';

const FINDINGS = 2;
const MOST_LISTED = 1000;
const url = (settings: Settings) => settings.DATABASE_URL;
const letters = <T>(work: (letters: DeadLetters) => Promise<T>) =>
  withDatabase(url, (target) => DeadLetters.open(target, work));

/** studently jobs list | retry | drop */
export function addJobs(program: Command): void {
  const say = (json: object, text: string) =>
    process.stdout.write(`${program.opts<{ json?: boolean }>().json ? JSON.stringify(json) : text}\n`);
  const jobs = program
    .command('jobs')
    .description('Look after the work that is done in the background, and after what was given up: the dead letters.');

  jobs
    .command('list')
    .description('what waits and what was given up (exit 2 if anything was)')
    .addHelpText('after', '\nExample:\n  npx studently jobs list')
    .action(async () => {
      const [kinds, dead] = await letters(async (all) => [await all.counts(), await all.list(MOST_LISTED)]);
      say({ jobs: kinds, dead }, inWords(kinds, dead));
      if (dead.length > 0) process.exitCode = FINDINGS;
    });

  for (const [name, description, done] of [
    ['retry', 'have dead letters tried again, with five new attempts', 'will be tried again'],
    ['drop', 'remove dead letters: what they were for will not happen', 'dropped'],
  ] as const) {
    jobs
      .command(name)
      .description(description)
      .argument('[id...]', 'as `jobs list` names them', readId)
      .option('--all', 'every dead letter')
      .addHelpText('after', `\nExample:\n  npx studently jobs ${name} 1207 1208`)
      .action(async (ids: string[] = [], { all }: { all?: boolean }, command: Command) => {
        if ((ids.length === 0) === !all) command.error(`error: say which (npx studently jobs ${name} <id>), or --all`);
        const changed = await letters((every) => every[name](all ? undefined : ids));
        say({ [name]: changed }, `${changed.length.toLocaleString('en')} ${done}.`);
        const missing = ids.filter((id) => !changed.includes(id));
        if (missing.length > 0) throw new Error(`No dead letter has this id: ${missing.join(', ')}`);
      });
  }
}

function readId(text: string, earlier: string[] = []): string[] {
  if (!/^[1-9]\d{0,17}$/.test(text)) throw new InvalidArgumentError('It is a number, as `jobs list` shows it.');
  return [...new Set([...earlier, text])];
}

function inWords(kinds: JobCounts[], dead: DeadLetter[]): string {
  const lines = kinds.map(({ job, waiting, dead: buried, oldestSeconds }) => {
    const age = waiting > 0 ? ` (the oldest for ${oldestSeconds.toLocaleString('en')} s)` : '';
    return `${job}: ${waiting.toLocaleString('en')} waiting${age}, ${buried.toLocaleString('en')} dead`;
  });
  for (const { id, job, subjectId, learnerId, attempts, failure, deadAt } of dead) {
    const owner = learnerId === null ? '' : ` of learner ${learnerId}`;
    lines.push(`  ${id}  ${job} ${subjectId}${owner}: ${failure} after ${attempts} attempts, ${deadAt.toISOString()}`);
  }
  return lines.length > 0 ? lines.join('\n') : 'Nothing waits, and nothing was given up.';
}
