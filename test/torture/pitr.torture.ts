import { execFileSync } from 'node:child_process';
import { rmSync, statSync, readFileSync, writeFileSync } from 'node:fs';
import { openBackups } from '../../libs/platform/src/backup/open-backups';
import { ScratchServer } from '../../libs/platform/src/backup/scratch-server';
import { loadSettings } from '../../libs/platform/src/config/config';
import { ApiProcess } from '../support/api-process';
import { filesIn, startBackupStage, type BackupStage } from '../support/backup-stage';
import { sql } from '../support/database';
import { HttpClient, logIn, newLearner } from '../support/http';
import { startRedis } from '../support/servers';
import type { Ended } from '../support/studently';
import { median } from './harness/ranks';
import type { TortureContext } from './harness/torture';
import { journalUpTo, sameRows, startWriters, type Change } from './pitr/load';

export const promise =
  'the database of any moment comes back row by row, while others write; a bit that was flipped in the repository is found; with server and Redis deleted, all is rebuilt from the repository';
export const ops = 20;
export const shortOps = 2;

const POSTGRES_BIN = '/usr/lib/postgresql/15/bin';
/** Of flipped bits, for each moment. */
const FLIPS = 0.5;

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const stage = await context.use(
    () => startBackupStage({ track_commit_timestamp: 'on' }),
    (started) => started.remove(),
  );
  context.progress('a backup under load');
  const writers = await context.use(
    () => startWriters(stage.adminUrl, context),
    (started) => started.stop(),
  );
  await done(stage.backup('run', '--type', 'full'));
  const from = Date.now() + 1000; // the end of a backup is told in whole seconds
  await writers.goOn(1000 + 1000 * context.ops); // so many seconds to choose from
  await done(stage.backup('run', '--type', 'incr'));
  await writers.goOn(1000);
  const history = await writers.stop();
  const to = history.at(-1)!.at;
  await stage.archived();

  const seconds: number[] = [];
  for (let moment = 0; moment < context.ops; moment++) {
    const at = quietMoment(history, from + context.random() * (to - from));
    context.progress(`${moment + 1} of ${context.ops}: ${at.toISOString()}`);
    seconds.push(await restoredExactly(context, stage, history, at));
  }
  const flips = Math.ceil(context.ops * FLIPS);
  for (let flip = 0; flip < flips; flip++) await flippedBitIsFound(context, stage);
  return {
    moments: context.ops,
    transactions: history.length,
    flips,
    restoreSeconds: median(seconds),
    worstRestoreSeconds: Math.max(...seconds),
    ...(await disaster(context, stage)),
  };
}

/** The next moment around which nothing was committed: of two commits at once the WAL may hold the later one first. */
function quietMoment(history: readonly Change[], near: number): Date {
  const next = history.findIndex(({ at }) => at > near);
  for (let index = Math.max(1, next); index < history.length; index++) {
    const [before, after] = [history[index - 1]!.at, history[index]!.at];
    if (after - before > 4) return new Date(Math.ceil(before + 2));
  }
  throw new Error('There was no quiet moment.');
}

async function restoredExactly(
  context: TortureContext,
  stage: BackupStage,
  history: readonly Change[],
  at: Date,
): Promise<number> {
  const target = stage.newFolder(`moment-${context.attempted}`);
  try {
    const { seconds } = await openBackups(loadSettings(stage.settings)).restore({ kind: 'time', at }, target);
    const server = await ScratchServer.on(target, POSTGRES_BIN);
    try {
      await server.start();
      const difference = await sameRows(server.target('studently').url, journalUpTo(history, at.getTime()));
      context.attempt(difference === undefined, () => `${at.toISOString()}: ${difference}`);
    } finally {
      await server.remove();
    }
    return seconds;
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

async function flippedBitIsFound(context: TortureContext, stage: BackupStage): Promise<void> {
  const copy = stage.newFolder(`flipped-${context.attempted}`);
  execFileSync('cp', ['-a', stage.repository, copy]);
  const files = filesIn(copy).filter((file) => /pg_data\/|\/[0-9A-F]{24}-[0-9a-f]{40}/.test(file));
  const file = context.pick(files);
  const bit = context.below(8 * statSync(file).size);
  const bytes = readFileSync(file);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  writeFileSync(file, bytes);
  // What is archived goes elsewhere: waiting for it is in vain.
  const flipped = openBackups(loadSettings(stage.configured({ 'repo1-path': copy, 'archive-timeout': '1' })));
  const findings = await flipped.check();
  const isFound = findings.some((finding) => / 1 files /.test(finding));
  context.attempt(isFound, () => `bit ${bit} of ${file.slice(copy.length)}: ${findings.join()}`);
  rmSync(copy, { recursive: true, force: true });
}

/** The machine of server and Redis is lost in the middle of the work: what is not in the archive is lost, and the rest serves again. */
async function disaster(context: TortureContext, stage: BackupStage): Promise<{ rpoSeconds: number; rtoSeconds: number }> {
  context.progress('a disaster');
  const redis = await startRedis();
  let api = await context.use(
    () => ApiProcess.start({ ...stage.settings, REDIS_URL: redis.url }),
    (first) => first.stop('SIGKILL'),
  );
  const learner = await newLearner(new HttpClient(api.url));
  await stage.archived();
  const writers = await startWriters(stage.adminUrl, context);
  await writers.goOn(5000 + context.below(5000));
  const lostAt = Date.now();
  await stage.postgres.stop('SIGKILL');
  await Promise.all([api.stop('SIGKILL'), redis.stop('SIGKILL')]);
  const acknowledged = await writers.stop();
  rmSync(stage.data, { recursive: true, force: true });

  await done(stage.backup('restore', '--to', 'latest', '--target', stage.data));
  await stage.postgres.restart();
  const fresh = await context.use(startRedis, (server) => server.stop());
  api = await context.use(
    () => ApiProcess.start({ ...stage.settings, REDIS_URL: fresh.url }),
    (second) => second.stop('SIGKILL'),
  );
  const http = new HttpClient(api.url);
  await logIn(http, learner.email, learner.password);
  const rtoSeconds = (Date.now() - lostAt) / 1000;
  const [journal] = await sql<{ kept: number }>(stage.adminUrl, 'select max(n)::int as kept from journal');
  const lost = acknowledged.filter(({ n }) => n > journal!.kept);
  const rpoSeconds = lost.length === 0 ? 0 : (lostAt - lost[0]!.at) / 1000;
  const difference = await sameRows(stage.adminUrl, journalUpTo(await writers.history(), Infinity));
  context.attempt(difference === undefined, () => `after the disaster: ${difference}`);
  context.attempt(rpoSeconds <= 5, () => `${rpoSeconds} s were lost`);
  return { rpoSeconds, rtoSeconds };
}

/** @throws with what it has said unless it ended well */
async function done(running: Promise<Ended>) {
  const answer = await running;
  if (answer.code !== 0) throw new Error(`studently ended with ${answer.code}: ${answer.err}`);
  return answer;
}
