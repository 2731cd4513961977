import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { startApi, startWorker } from '../support/platform';
import { startBackupStage, type BackupStage } from '../support/backup-stage';
import { sql } from '../support/database';
import { startRedis, withClient } from '../support/servers';
import type { BenchContext } from './harness/context';
import { interleave } from './harness/interleave';
import { number } from './harness/table';
import { atMost, type Measured } from './harness/workload';

const MEGABYTES = 500;
const LEARNERS = 500;
const MESSAGES_AT_ONCE = 20_000;
const SAMPLE_MS = 900_000;

const secondsSince = (started: number) => (performance.now() - started) / 1000;

export const name = 'restore';
export const goal = `with server and data folder lost, ${MEGABYTES} MB serve again after ≤ 60 s; a drill of the sample database ≤ 30 s`;

/** Backups of pgBackRest, encrypted and compressed as deploy/pgbackrest has it; the limit is a copy of the same files on the same disk. */
export async function run(context: BenchContext): Promise<Measured> {
  const stage = await context.use(startBackupStage, (started) => started.remove());
  const redis = await context.use(startRedis, (server) => server.stop());
  const settings = { ...stage.settings, REDIS_URL: redis.url, LOG_ACCESS: 'false' };
  const sampleRows = await fillWithSample(context, stage, settings);
  await backup(stage, 'run', '--type', 'full');
  const drills: number[] = [];
  for (let run = 1; run <= context.runs; run++) {
    const { ok, seconds } = await backup<{ ok: boolean; seconds: number }>(stage, 'drill');
    if (!ok) throw new Error('The drill has found something.');
    drills.push(seconds);
    context.progress(`  ${run}/${context.runs} drill      ${seconds.toFixed(1)} s`);
  }
  const megabytes = await fillUp(context, stage);
  await backup(stage, 'run', '--type', 'full');
  await stage.archived();
  let { postgres } = stage;
  const { platform, limit } = await interleave(context, {
    platform: async () => {
      await postgres.stop('SIGKILL');
      rmSync(stage.data, { recursive: true, force: true });
      const started = performance.now();
      await backup(stage, 'restore', '--to', 'latest', '--target', stage.data);
      const restoreSeconds = secondsSince(started);
      postgres = await context.use(
        () => postgres.restart(),
        (server) => server.stop('SIGKILL'),
      );
      await serves(context, settings);
      return { seconds: secondsSince(started), restoreSeconds };
    },
    limit: async () => copied(context, stage),
  });
  return {
    perRun: 'one restore or drill',
    checks: [
      atMost('restored and serving', platform.seconds, 's', 60, limit.seconds),
      atMost('drill of the sample', Math.max(...drills), 's', 30),
    ],
    details: { megabytes, sampleRows, restoreSeconds: platform.restoreSeconds },
    notes: [
      `${number(megabytes)} MB: \`backup restore\` takes ${number(platform.restoreSeconds)} s of it, the start of PostgreSQL and of the API the rest`,
      `the limit copies the files of the server on the same disk, without opening, unpacking or checking anything`,
      `the sample has ${number(sampleRows)} rows; the slowest of ${drills.length} drills counts`,
    ],
  };
}

async function backup<Answer>(stage: BackupStage, ...args: string[]): Promise<Answer> {
  const { code, out, err } = await stage.backup('--json', ...args);
  if (code !== 0) throw new Error(err || out);
  return JSON.parse(out) as Answer;
}

/** What `npm start` shows, on PostgreSQL, with all that a worker does of it. @returns rows */
async function fillWithSample(context: BenchContext, stage: BackupStage, settings: NodeJS.ProcessEnv): Promise<number> {
  context.progress('  the sample is made');
  const api = await startApi(context, { ...settings, STUDENTLY_SAMPLE: 'on' });
  const worker = await startWorker(context, settings);
  const end = Date.now() + SAMPLE_MS;
  const counts = async () =>
    (
      await sql<{ documents: number; open: number }>(
        stage.adminUrl,
        `select (select count(*) from documents)::int as documents, (select count(*) from jobs)::int as open`,
      )
    )[0]!;
  for (let at = await counts(); at.documents === 0 || at.open > 0; at = await counts()) {
    if (Date.now() > end) throw new Error(`The sample is not ready: ${at.open} jobs are open.`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await Promise.all([api.stop(), worker.stop()]);
  await sql(stage.adminUrl, 'analyze');
  const counted = await sql<{ rows: number }>(stage.adminUrl, 'select sum(n_live_tup)::int as rows from pg_stat_user_tables');
  return counted[0]!.rows;
}

/** Conversations that do not compress well, as sealed ones do not. @returns the size of the database in MB */
async function fillUp(context: BenchContext, stage: BackupStage): Promise<number> {
  return withClient(stage.adminUrl, async (client) => {
    await client.query(
      `with learners as (
         insert into users (email, password_hash) select 'many-' || n || '@example.org', '$argon2id$x' from generate_series(1, $1::int) n
         returning id)
       insert into chats (user_id, title) select id, 'Many' from learners`,
      [LEARNERS],
    );
    for (let first = 1; ; first += MESSAGES_AT_ONCE / LEARNERS) {
      const { rows } = await client.query<{ megabytes: number }>(
        `select pg_database_size(current_database()) / 1e6 as megabytes`,
      );
      context.progress(`  ${Math.round(rows[0]!.megabytes)} of ${MEGABYTES} MB`);
      if (rows[0]!.megabytes >= MEGABYTES) return Number(rows[0]!.megabytes);
      await client.query(
        `insert into chat_messages (user_id, chat_id, seq, parent_seq, role, content_sealed)
         select c.user_id, c.id, seq, nullif(seq - 1, 0), 'user', (select string_agg(uuid_send(uuid_generate_v4()), ''::bytea) from generate_series(1, 40 + seq % 2))
         from chats c cross join generate_series($1::int, $2::int) seq where c.title = 'Many'`,
        [first, first + MESSAGES_AT_ONCE / LEARNERS - 1],
      );
    }
  });
}

async function serves(context: BenchContext, settings: NodeJS.ProcessEnv): Promise<void> {
  const api = await startApi(context, settings);
  const { status } = await fetch(`${api.url}/health/ready`);
  if (status !== 200) throw new Error(`/health/ready answered ${status}`);
  await api.stop();
}

function copied(context: BenchContext, stage: BackupStage) {
  const target = join(context.folder, 'copy');
  const started = performance.now();
  execFileSync('cp', ['-a', stage.data, target]);
  execFileSync('sync', ['-f', target]);
  const seconds = secondsSince(started);
  rmSync(target, { recursive: true });
  return Promise.resolve({ seconds });
}
