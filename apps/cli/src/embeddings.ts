import { setTimeout as sleep } from 'node:timers/promises';
import {
  chosenModel,
  EmbeddingModels,
  LOCAL_MODEL,
  RecallGate,
  SpaceMigration,
  type GateResult,
  type MigrationStatus,
} from '@studently/ai-interactions';
import { DomainError, loadSettings, type Settings } from '@studently/platform';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { withContexts } from './with-contexts';
import { withDatabase } from './with-database';

const migrationUrl = (settings: Settings) => settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;
const migrating = <T>(work: (migration: SpaceMigration) => Promise<T>) =>
  withDatabase(migrationUrl, (target) => work(new SpaceMigration(target)));
const inWords = (count: number) => count.toLocaleString('en');
const POLL_MS = 1000;

interface StartOptions {
  provider?: string;
  model?: string;
  url?: string;
  wait?: boolean;
  dryRun?: boolean;
}

/** studently embeddings migrate start | status | cutover | rollback | cleanup */
export function addEmbeddings(program: Command): void {
  const isForMachines = () => program.opts<{ json?: boolean }>().json === true;
  const say = (json: object, text: string) => void process.stdout.write(`${isForMachines() ? JSON.stringify(json) : text}\n`);
  const migrate = program
    .command('embeddings')
    .description('Look after the model that makes embeddings.')
    .command('migrate')
    .description(
      'Change the model while everything runs: start, wait until status says that it is filled, cutover; rollback is possible until cleanup. ' +
        'Connects by DATABASE_MIGRATION_URL, else DATABASE_URL.',
    );

  migrate
    .command('start')
    .description('keep vectors of another model beside those that answer; workers make them in the background')
    .option(
      '--model <name>',
      'as vectors are marked with it, with @<dimensions> where a length is asked for (default: that of the settings)',
    )
    .option('--provider <local|openai>', 'local: the model that comes along')
    .option('--url <address>', 'of its endpoint, if it is not EMBEDDINGS_URL; its key is that of EMBEDDINGS_NEXT_URL')
    .option('--wait', 'until it is filled')
    .option('--dry-run', 'only try whether the model answers')
    .addHelpText('after', '\nExample:\n  npx studently embeddings migrate start --model text-embedding-3-large@1536 --wait')
    .action(async (options: StartOptions, command: Command) => {
      const { model, url } = wanted(options, command);
      // Whoever cannot reach it would only find out by a space that is never filled.
      await withContexts((app) => app.get(EmbeddingModels).of({ model, url }).embedQuestion('water')).catch(
        (error: unknown) => {
          if (!(error instanceof DomainError) || error.code !== 'EMBEDDINGS_UNAVAILABLE') throw error;
          throw new Error(
            `${model} makes no embeddings at ${url ?? 'EMBEDDINGS_URL'}: check name, address and key. Nothing was changed.`,
          );
        },
      );
      if (options.dryRun) return say({ model, url, dryRun: true }, `${model} answers. Nothing was changed.`);
      await migrating((migration) => migration.start(model, url));
      if (options.wait) await waitUntilFilled(isForMachines());
      say({ model, url, started: true }, `${model} is filled by the workers. Next: npx studently embeddings migrate status`);
    });

  migrate
    .command('status')
    .description('which models have vectors, and how far the filling is')
    .addHelpText('after', '\nExample:\n  npx studently embeddings migrate status')
    .action(async () => {
      const status = await migrating((migration) => migration.status());
      say(status, statusText(status));
    });

  migrate
    .command('cutover')
    .description(
      'have the new model answer, if all is filled and its searches find what is nearest (recall@10 of 0.99 at least)',
    )
    .option('--force', 'also where vectors are missing, or the recall is lower')
    .option('--dry-run', 'only look whether it may')
    .addHelpText('after', '\nExample:\n  npx studently embeddings migrate cutover')
    .action(async ({ force = false, dryRun = false }: { force?: boolean; dryRun?: boolean }) => {
      const result = await withContexts((app) =>
        migrating((migration) =>
          migration.cutover((questions, spaces) => app.get(RecallGate).check(questions, spaces), force, dryRun),
        ),
      );
      say(
        { ...result, dryRun },
        `${gateText(result)}\n${dryRun ? 'It may. Nothing was changed.' : 'The new model answers, within a second everywhere.'}`,
      );
    });

  migrate
    .command('rollback')
    .description('have the model before answer again; its vectors are kept complete until cleanup')
    .option('--force', 'also while some of its vectors are still to be made')
    .option('--dry-run', 'only look whether it is possible')
    .addHelpText('after', '\nExample:\n  npx studently embeddings migrate rollback')
    .action(async ({ force = false, dryRun = false }: { force?: boolean; dryRun?: boolean }) => {
      const lacking = await migrating((migration) => migration.rollback(force, dryRun));
      const missing =
        lacking > 0 ? `${inWords(lacking)} passages and messages have no vector of it, and are found by words.\n` : '';
      say(
        { lacking, dryRun },
        `${missing}${dryRun ? 'It is possible. Nothing was changed.' : 'The model before answers again, within a second everywhere.'}`,
      );
    });

  migrate
    .command('cleanup')
    .description(
      'remove the vectors that do not answer: of the model before, or of one that is not to take over; once begun there is no way back, and again it goes on',
    )
    .option('--dry-run', 'only look whether it is possible, and count them')
    .addHelpText('after', '\nExample:\n  npx studently embeddings migrate cleanup')
    .action(async ({ dryRun = false }: { dryRun?: boolean }) => {
      const vectors = await migrating((migration) => migration.removable());
      if (dryRun) return say({ vectors, dryRun }, `${inWords(vectors)} vectors would be removed.`);
      const bar = progressBar(isForMachines(), 'removed');
      bar.start(vectors);
      const removed = await migrating((migration) => migration.cleanup(bar.add)).finally(bar.stop);
      say({ removed }, `${inWords(removed)} vectors removed.`);
    });
}

function wanted({ provider, model, url }: StartOptions, command: Command): { model: string; url: string | null } {
  if (provider !== undefined && provider !== 'local' && provider !== 'openai')
    command.error('error: --provider is local or openai');
  if (url !== undefined && !/^https?:\/\//.test(url)) command.error('error: --url starts with https:// or http://');
  const settings = loadSettings();
  if (provider === 'local' || model === LOCAL_MODEL) {
    if (url !== undefined || (model ?? LOCAL_MODEL) !== LOCAL_MODEL)
      command.error(`error: the local model is ${LOCAL_MODEL}, without --url`);
    return { model: LOCAL_MODEL, url: null };
  }
  const chosen = model ?? chosenModel(provider === 'openai' ? { ...settings, EMBEDDINGS_PROVIDER: 'openai' } : settings);
  if (url === undefined && settings.EMBEDDINGS_URL === undefined) command.error('error: say --url, or set EMBEDDINGS_URL');
  return { model: chosen, url: url === undefined || url === settings.EMBEDDINGS_URL ? null : url };
}

async function waitUntilFilled(isQuiet: boolean): Promise<void> {
  const bar = progressBar(isQuiet, 'vectors');
  try {
    for (let shown = -1; ; await sleep(POLL_MS)) {
      const { spaces, waiting } = await migrating((migration) => migration.status());
      const filling = spaces.find(({ state }) => state === 'filling');
      if (!filling || (filling.isReached && waiting === 0)) return;
      if (shown < 0) bar.start(filling.vectors + filling.lacking);
      bar.add(filling.vectors - Math.max(shown, 0));
      shown = filling.vectors;
    }
  } finally {
    bar.stop();
  }
}

function statusText({ spaces, waiting, dead, perSecond, secondsLeft }: MigrationStatus): string {
  const lines = spaces.map(({ model, state, vectors, lacking, url }) => {
    const missing = state === 'serving' ? '' : `, ${inWords(lacking)} passages and messages have none`;
    return `${model}: ${state}, ${inWords(vectors)} vectors${missing}${url === null ? '' : ` (${url})`}`;
  });
  const filling = spaces.find(({ state }) => state === 'filling');
  if (filling) {
    const isFilled = filling.isReached && waiting === 0;
    const left = secondsLeft === null ? '' : `, about ${inWords(secondsLeft)} s left`;
    lines.push(
      isFilled ? 'Filled. Next: npx studently embeddings migrate cutover' : `${inWords(perSecond)} vectors a second${left}`,
    );
  }
  if (spaces.some(({ state }) => state === 'removing'))
    lines.push('Half removed, unless it goes on just now. Next: npx studently embeddings migrate cleanup');
  if (waiting > 0 || dead > 0)
    lines.push(`${inWords(waiting)} documents and chats wait for vectors, ${inWords(dead)} were given up`);
  return lines.join('\n');
}

const gateText = ({ questions, recall, overlap }: GateResult) =>
  `recall@10 ${recall.toFixed(3)} of ${inWords(questions)} questions; ${(overlap * 100).toFixed(0)} % of what the model before finds is found again.`;

/** On a terminal only. */
function progressBar(isQuiet: boolean, what: string) {
  if (isQuiet || !process.stderr.isTTY) return { start: () => undefined, add: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: `{bar} {percentage}% | {value} ${what} | {eta_formatted} left`,
    gracefulExit: false,
    barsize: 30,
  });
  return {
    start: (total: number) => bar.start(total, 0),
    add: (count: number) => bar.increment(count),
    stop: () => bar.stop(),
  };
}
