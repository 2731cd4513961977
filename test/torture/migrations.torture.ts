import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { knownMigrations } from '../../libs/platform/src/migrations/migrations';
import { describeCatalog } from '../integration/catalog';
import type { ApiProcess } from '../support/api-process';
import { HttpClient } from '../support/http';
import { DATABASE, startApi, startServers } from '../support/platform';
import { withClient } from '../support/servers';
import { distOf } from './harness/release';
import type { TortureContext } from './harness/torture';
import { Load } from './migrations/load';
import { LockWatch, MIGRATOR } from './migrations/lock-watch';
import { makeNextRelease } from './migrations/next-release';

export const promise =
  'while the release before and the next one serve together, the schema goes up, is filled, contracted and taken back, each killed in the middle and run again: ' +
  'no request fails, no lock stands in the way of one for more than 200 ms, and up, down, up leaves the identical catalog and the same rows';
/** Times that the whole way is gone. */
export const ops = 3;
export const shortOps = 1;

const LONGEST_LOCK_MS = 200;
const LANES = 6;
const ROWS = { whole: 50_000, short: 5000 };
const LEARNERS = 200;
const KILLS = 3;
/** After its connection is there, a kill comes within so many ms. */
const LATEST_KILL_MS = 400;
const PATIENCE_MS = 20_000;

/** Of learners who are not there, with a column that a release before the one before has left behind. */
const OLDER_ROWS = [
  'alter table chats add column former_title text',
  `insert into users (email, password_hash) select 'older-' || n || '@example.org', '$argon2id$x' from generate_series(1, $1::int) n`,
  `insert into chats (user_id, title, former_title)
   select u.id, 'Older Chat ' || n, 'left behind' from generate_series(1, $2::int) n
   join (select id, row_number() over (order by id) as nr from users) u on u.nr = 1 + n % $1::int`,
];
const SUM = `
  select md5(string_agg(concat_ws(' ', user_id, id, title, version, updated_at), ',' order by user_id, id)) as sum
  from chats where title like 'Older Chat %'`;

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const stage = await Stage.open(context, ['next']);
  const figures: Figures = { ...NONE, rows: stage.rows };
  try {
    for (let round = 1; round <= context.ops; round++) {
      await stage.goTheWay(figures);
      if (round < context.ops) await stage.goBack(figures);
      context.progress(`${round} of ${context.ops}`);
    }
  } finally {
    await stage.close();
  }
  return figures;
}

export const NONE = { requests: 0, slowestRequestMs: 0, longestLockMs: 0, kills: 0, rows: 0 };
export type Figures = typeof NONE;

/** Two releases on one database, and whoever uses them. */
export class Stage {
  private readonly killedOnce = new Set<string>();

  private constructor(
    readonly context: TortureContext,
    private readonly url: string,
    private readonly settings: NodeJS.ProcessEnv,
    private readonly next: string,
    private readonly before: ApiProcess,
    private readonly load: Load,
    private readonly watch: LockWatch,
    readonly rows: number,
  ) {}

  static async open(context: TortureContext, migrations: string[]): Promise<Stage> {
    const { postgres, settings } = await startServers(context);
    const url = postgres.url(DATABASE);
    const rows = context.ops > 1 ? ROWS.whole : ROWS.short;
    await withClient(url, async (client) => {
      const [column, learners, chats] = OLDER_ROWS;
      await client.query(`set role studently_owner; ${column}; reset role`);
      await client.query(learners!, [LEARNERS]);
      await client.query(chats!, [LEARNERS, rows]);
    });
    const next = makeNextRelease(join(context.folder, 'next'), migrations);
    const shared = { ...settings, STUDENTLY_DATA_DIR: join(context.folder, 'data') };
    const before = await startApi(context, shared);
    const load = await context.use(
      () => Load.start(new Map([['before', new HttpClient(before.url)]]), LANES, context.random),
      (started) => started.stop(),
    );
    const watch = await context.use(
      () => LockWatch.start(url),
      (started) => started.stop(),
    );
    return new Stage(context, url, { ...shared, DATABASE_MIGRATION_URL: url }, next, before, load, watch, rows);
  }

  close(): Promise<void> {
    return this.load.stop();
  }

  /** Up, the next release beside the one before, filled, contracted; the next one goes, and all is taken back. */
  async goTheWay(figures: Figures): Promise<void> {
    const start = await this.state();
    await this.migrate(figures, 'up');
    const both = await this.startNext();
    this.load.use(new Map([this.serving(this.before, 'before'), this.serving(both, 'next')]));
    await this.migrate(figures, 'backfill');
    await this.migrate(figures, 'contract', '--yes');
    const there = await this.state();
    await this.settled(figures, 'both releases');
    this.load.use(new Map([this.serving(this.before, 'before')]));
    await sleep(200);
    await both.stop();
    await this.goBack(figures);
    const back = await this.state();
    this.context.attempt(
      back === start,
      () => `after the way back the schema, or a row, is not what it was:\n${difference(start, back)}`,
    );
    for (const command of [['up'], ['backfill'], ['contract', '--yes']]) await this.migrate(figures, ...command);
    const again = await this.state();
    this.context.attempt(again === there, () => `up, down, up leaves another schema:\n${difference(there, again)}`);
  }

  /** To where the release before is, however often it is said. */
  goBack(figures: Figures): Promise<void> {
    return this.migrate(figures, 'down', '--to', knownMigrations().at(-1)!, '--yes');
  }

  /** One command, killed and run again until it is through. In short each kind is killed once. */
  async migrate(figures: Figures, ...args: string[]): Promise<void> {
    const kills = this.context.ops > 1 ? KILLS : Number(!this.killedOnce.has(args[0]!));
    this.killedOnce.add(args[0]!);
    for (let kill = 0; kill < kills; kill++) figures.kills += Number(await this.killed(args));
    const { code, output } = await this.studently(args);
    this.context.attempt(code === 0, () => `migrate ${args.join(' ')} ended with ${code}: ${output}`);
    await this.settled(figures, `migrate ${args[0]}`);
  }

  async studently(args: string[]): Promise<{ code: number | null; output: string }> {
    const child = this.spawn(args);
    let output = '';
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output };
  }

  /** What was served, and which locks were held, since the last time. */
  async settled(figures: Figures, during: string): Promise<void> {
    await sleep(100);
    for (const { what, ms } of this.watch.take()) {
      this.context.attempt(ms <= LONGEST_LOCK_MS, () => `during ${during}, for ${Math.round(ms)} ms: ${what}`);
      figures.longestLockMs = Math.max(figures.longestLockMs, ms);
    }
    for (const { what, tookMs, status, isWell } of this.load.take()) {
      this.context.attempt(isWell, () => `during ${during}, ${what} was answered by ${status ?? 'nothing'}, or wrongly`);
      figures.requests += 1;
      figures.slowestRequestMs = Math.max(figures.slowestRequestMs, tookMs);
    }
  }

  private async startNext(): Promise<ApiProcess> {
    return startApi(this.context, { ...this.settings, DATABASE_MIGRATION_URL: undefined }, distOf(this.next));
  }

  private serving(api: ApiProcess, name: string): [string, HttpClient] {
    return [name, new HttpClient(api.url)];
  }

  /** @returns whether it was killed before it had ended */
  private async killed(args: string[]): Promise<boolean> {
    const child = this.spawn(args);
    const ended = once(child, 'close');
    await withClient(this.url, async (client) => {
      for (const end = Date.now() + PATIENCE_MS; Date.now() < end && child.exitCode === null; await sleep(5)) {
        const { rowCount } = await client.query('select from pg_stat_activity where application_name = $1', [MIGRATOR]);
        if (rowCount) return;
      }
    });
    await Promise.race([ended, sleep(this.context.below(LATEST_KILL_MS))]);
    const isInTime = child.exitCode === null;
    child.kill('SIGKILL');
    await ended;
    return isInTime;
  }

  private spawn(args: string[]): ChildProcess {
    const cli = join(distOf(this.next), 'cli.js');
    return spawn(process.execPath, [cli, '--json', 'migrate', ...args], {
      env: { PATH: process.env['PATH'], ...this.settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** The catalog, and a sum over the rows that were there before anybody came. */
  private async state(): Promise<string> {
    const lines = (await describeCatalog(this.url)).map((line) => line.replace(/^(sequence .*),\d*\)$/, '$1)')); // how far it has counted
    const { rows } = await withClient(this.url, (client) => client.query<{ sum: string }>(SUM));
    return [...lines, `rows ${rows[0]!.sum}`].join('\n');
  }
}

function difference(one: string, other: string): string {
  const [before, after] = [one.split('\n'), other.split('\n')];
  const gone = before.filter((line) => !after.includes(line)).map((line) => `- ${line}`);
  return [...gone, ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`)].slice(0, 6).join('\n');
}
