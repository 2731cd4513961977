import { Logger } from '@nestjs/common';
import { CacheMaintenance, loadSettings, RedisConnections, type CacheStats, type Reason } from '@studently/platform';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';

const inWords = (count: number) => count.toLocaleString('en');

/** studently cache stats | clean */
export function addCache(program: Command): void {
  const isForMachines = () => program.opts<{ json?: boolean }>().json === true;
  const say = (json: object, text: string) => process.stdout.write(`${isForMachines() ? JSON.stringify(json) : text}\n`);
  const cache = program
    .command('cache')
    .description(
      'Look after what lies in Redis (REDIS_URL, REDIS_SESSIONS_URL; with REDIS_MODE=cluster on every master), while it serves. ' +
        'Keys of others are never touched.',
    );

  cache
    .command('stats')
    .description('how many keys of each kind there are, how big they are and when they end')
    .addHelpText('after', '\nExample:\n  npx studently cache stats')
    .action(async () => {
      const servers = await onEachRedis(isForMachines(), (maintenance) => maintenance.stats());
      say({ servers }, servers.map(({ url, result }) => `${url}\n${statsText(result)}`).join('\n') || NOTHING);
    });

  addClean(program, cache, 'clean');
}

/** studently cache clean, which is also studently maint cache */
export function addClean(program: Command, parent: Command, name: string): void {
  const isForMachines = () => program.opts<{ json?: boolean }>().json === true;
  parent
    .command(name)
    .description('remove views that nobody can read any more (forgotten, or of another release) and keys that would never end')
    .option('--dry-run', 'only count them')
    .addHelpText('after', `\nExample:\n  npx studently ${parent.name()} ${name} --dry-run`)
    .action(async ({ dryRun = false }: { dryRun?: boolean }) => {
      const servers = await onEachRedis(isForMachines(), (maintenance) => maintenance.clean({ dryRun }));
      const verb = dryRun ? 'could be removed' : 'removed';
      const text = servers.map(({ url, result }) => `${url}: ${removedText(result)} ${verb}`).join('\n') || NOTHING;
      process.stdout.write(`${isForMachines() ? JSON.stringify({ dryRun, servers }) : text}\n`);
    });
}

const NOTHING = 'Nothing to do: without REDIS_URL each process keeps its cache in its own memory, which ends with it.';

/** `url` is the name of the setting: addresses have passwords in them. */
async function onEachRedis<T>(
  isQuiet: boolean,
  work: (maintenance: CacheMaintenance) => Promise<T>,
): Promise<{ url: string; result: T }[]> {
  Logger.overrideLogger(['error', 'fatal']); // what is not reachable is told once, at the end
  const settings = loadSettings();
  const connections = new RedisConnections(settings);
  const bar = progressBar(isQuiet);
  const urls = (['REDIS_URL', 'REDIS_SESSIONS_URL'] as const).filter((name) => settings[name]);
  const results = [];
  try {
    for (const url of urls) {
      const maintenance = new CacheMaintenance(connections.to(settings[url]!), bar.add);
      await connections.checkVersions();
      bar.start(
        await maintenance.size().catch((error: Error) => {
          throw new Error(`Redis of ${url} does not answer: ${error.message}`);
        }),
      );
      results.push({ url, result: await work(maintenance) });
      bar.stop();
    }
    return results;
  } finally {
    bar.stop();
    await connections.onApplicationShutdown();
  }
}

function statsText({ servers, kinds, removable, foreign, hitRate }: CacheStats): string {
  const rows = Object.entries(kinds).map(([kind, { keys, bytes, firstEndsInMs, lastEndsInMs }]) => {
    const end = firstEndsInMs === undefined ? '' : `ends in ${duration(firstEndsInMs)} to ${duration(lastEndsInMs!)}`;
    return `  ${kind.padEnd(12)} ${inWords(keys).padStart(10)} keys ${inWords(bytes).padStart(14)} bytes  ${end}`.trimEnd();
  });
  rows.push(`  foreign      ${inWords(foreign.keys).padStart(10)} keys ${foreign.examples.join(' ')}`.trimEnd());
  rows.push(`  clean would remove: ${removedText(removable)}`);
  rows.push(
    `  hit rate: ${hitRate === undefined ? 'nobody has asked yet' : hitRate.toFixed(3)}, ${servers} server${servers > 1 ? 's' : ''}`,
  );
  return rows.join('\n');
}

const removedText = ({ orphaned, oldVersion, endless }: Record<Reason, number>) =>
  `${inWords(orphaned)} orphaned, ${inWords(oldVersion)} of another version, ${inWords(endless)} without an end`;

function duration(ms: number): string {
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

/** On a terminal only. */
function progressBar(isQuiet: boolean) {
  if (isQuiet || !process.stderr.isTTY) return { start: () => undefined, add: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: '{bar} {percentage}% | {value} keys | {eta_formatted} left',
    gracefulExit: false,
    barsize: 30,
  });
  return {
    start: (total: number) => bar.start(total, 0),
    add: (keys: number) => bar.increment(keys),
    stop: () => bar.stop(),
  };
}
