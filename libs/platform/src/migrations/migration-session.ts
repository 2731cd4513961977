import type { Client } from 'pg';
import { BackfillRunner, rowsLeft, type BackfillProgress, type BackfillState } from './backfill-runner';
import type { MigrationFiles } from './migration-files';
import { MigrationStopped, ScriptRunner, type Haste, type Tell } from './script-runner';

/** Which migrations are done, and how far others are. Whoever logs in for migrations owns both, and they are no part of the schema. */
const OWN_TABLES = `
  create table if not exists studently_migrations (
    id serial primary key, name varchar(255), executed_at timestamptz default current_timestamp
  );
  create table if not exists studently_migrations_progress (
    name text not null, part text not null, steps integer not null default 0, cursor text[], rows bigint not null default 0,
    is_done boolean not null default false, changed_at timestamptz(3) not null default clock_timestamp(),
    primary key (name, part)
  );
  grant select on studently_migrations to studently_app, studently_worker`;

type Part = 'up' | 'down' | 'backfill' | 'contract' | 'contract.down';

interface Progress {
  name: string;
  part: Part;
  steps: number;
  cursor: string[] | null;
  rows: number;
  isDone: boolean;
}

export interface MigrationStatus {
  /** Applied, oldest first. */
  executed: string[];
  /** Of this release, not yet applied. */
  pending: string[];
  /** Applied, and rows from before still have to be brought to it. */
  backfill: string[];
  /** Applied, and what the release before it needed is still there. */
  contract: string[];
}

/** How far back: the latest alone, all, or whatever came after `to`; only the last says the same when it is said again. */
export interface WayBack {
  all?: boolean;
  to?: string;
}

/** What is told while it takes its time. */
export interface MigrationListener {
  tell?: Tell;
  progress?: (name: string, progress: BackfillProgress) => void;
}

/** One run, on one connection: as long as the server still works for it, nobody else begins. */
export class MigrationSession {
  private readonly scripts: ScriptRunner;
  private readonly tell: Tell;

  constructor(
    private readonly client: Client,
    private readonly isEmbedded: boolean,
    private readonly files: MigrationFiles,
    private readonly listener: MigrationListener,
  ) {
    this.tell = listener.tell ?? (() => undefined);
    this.scripts = new ScriptRunner(client, this.tell);
  }

  async status(): Promise<MigrationStatus> {
    const { rows } = await this.client.query<{ own: string | null; progress: string | null }>(
      `select to_regclass('public.studently_migrations')::text as own, to_regclass('public.studently_migrations_progress')::text as progress`,
    );
    const executed = rows[0]!.own ? await this.executed() : [];
    const done = rows[0]!.progress ? (await this.progress()).filter(({ isDone }) => isDone) : [];
    const isOpen = (name: string, part: 'backfill' | 'contract') =>
      this.files.has(name, part) && !done.some((each) => each.name === name && each.part === part);
    const known = executed.filter((name) => this.files.has(name, 'up'));
    return {
      executed,
      pending: this.files.names().filter((name) => !executed.includes(name)),
      backfill: known.filter((name) => isOpen(name, 'backfill')),
      contract: known.filter((name) => isOpen(name, 'contract')),
    };
  }

  async up(): Promise<string[]> {
    await this.client.query(this.files.read('bootstrap.sql'));
    await this.client.query(OWN_TABLES);
    await this.refuseHalf('down', 'contract.down');
    const before = await this.executed();
    const isAlone = this.isEmbedded || before.length === 0;
    const applied: string[] = [];
    for (const name of this.files.names().filter((each) => !before.includes(each))) {
      await this.apply(name, isAlone);
      applied.push(name);
    }
    await this.settle();
    return applied;
  }

  async down(way: WayBack): Promise<string[]> {
    const names = await this.toTakeBack(way);
    if (names.length === 0) return [];
    await this.client.query(OWN_TABLES);
    await this.refuseHalf('up', 'contract');
    for (const name of names) await this.takeBack(name);
    await this.settle();
    return names;
  }

  async toTakeBack({ all, to }: WayBack): Promise<string[]> {
    const { executed } = await this.status();
    if (to === undefined) return executed.toReversed().slice(0, all ? undefined : 1);
    const last = executed.indexOf(to);
    if (last < 0) {
      throw new MigrationStopped(
        'MIGRATION_NOT_APPLIED',
        `${to} is not applied: there is nothing to go back to. What is applied says: npx studently migrate status`,
      );
    }
    return executed.slice(last + 1).toReversed();
  }

  async backfill(): Promise<Record<string, number>> {
    const changed: Record<string, number> = {};
    for (const name of await this.withPart('backfill')) {
      const rows = await this.fill(name, this.haste(false));
      if (rows !== undefined) changed[name] = rows;
    }
    await this.settle();
    return changed;
  }

  async left(): Promise<Record<string, number>> {
    const left: Record<string, number> = {};
    for (const name of await this.withPart('backfill')) left[name] = await rowsLeft(this.client, this.files.backfill(name));
    return left;
  }

  async contract(): Promise<string[]> {
    await this.client.query(OWN_TABLES);
    await this.refuseHalf('up', 'down', 'contract.down');
    const { contract } = await this.status();
    for (const name of contract) {
      const left = this.files.has(name, 'backfill') ? await rowsLeft(this.client, this.files.backfill(name)) : 0;
      if (left > 0) {
        throw new MigrationStopped(
          'BACKFILL_UNFINISHED',
          `${name} still needs something of ${left} rows. Nothing of it was removed. First: npx studently migrate backfill`,
        );
      }
      await this.runScript(name, 'contract', this.haste(false), this.noteOf(name, 'contract', 0, true));
    }
    await this.settle();
    return contract;
  }

  /** Where nobody is served, all of a migration at once: it counts as applied when nothing of it is open. */
  private async apply(name: string, isAlone: boolean): Promise<void> {
    const finish = `insert into studently_migrations (name) values ('${name}'); delete from studently_migrations_progress where name = '${name}' and part = 'up'`;
    const isMore = isAlone && (this.files.has(name, 'backfill') || this.files.has(name, 'contract'));
    const haste = this.haste(isAlone);
    await this.runScript(
      name,
      'up',
      haste,
      isMore ? this.noteOf(name, 'up', this.files.script(name, 'up').steps.length) : finish,
    );
    if (!isMore) return;
    if (this.files.has(name, 'backfill')) await this.fill(name, haste);
    if (this.files.has(name, 'contract')) {
      await this.runScript(name, 'contract', haste, this.noteOf(name, 'contract', 0, true));
    }
    await this.client.query(finish);
  }

  private async takeBack(name: string): Promise<void> {
    const progress = await this.progress();
    if (progress.some((each) => each.name === name && each.part === 'contract')) {
      const finish = `delete from studently_migrations_progress where name = '${name}' and part in ('contract', 'contract.down')`;
      await this.runScript(name, 'contract.down', this.haste(false), finish);
    }
    const finish = `delete from studently_migrations where name = '${name}'; delete from studently_migrations_progress where name = '${name}'`;
    await this.runScript(name, 'down', this.haste(false), finish);
  }

  /** @returns how many rows it has changed; undefined: it was complete */
  private async fill(name: string, haste: Haste): Promise<number | undefined> {
    const backfill = this.files.backfill(name);
    const from = (await this.progress()).find((each) => each.name === name && each.part === 'backfill');
    if (from?.isDone && (await rowsLeft(this.client, backfill)) === 0) return undefined;
    const note = (state: BackfillState) => this.backfillNote(name, state);
    const progress = (at: BackfillProgress) => this.listener.progress?.(name, at);
    const runner = new BackfillRunner(this.client, backfill, haste, note, this.tell, progress);
    const changed = await runner.run({ cursor: from?.cursor ?? undefined, rows: Number(from?.rows ?? 0) });
    await this.client.query(this.noteOf(name, 'backfill', 0, true));
    return changed;
  }

  private async runScript(name: string, part: Exclude<Part, 'backfill'>, haste: Haste, finish: string): Promise<void> {
    const at = (await this.progress()).find((each) => each.name === name && each.part === part);
    await this.scripts.run(this.files.script(name, part), haste, {
      done: at?.steps ?? 0,
      note: (steps) => this.noteOf(name, part, steps),
      finish,
    });
  }

  /** Where the application may be in use nothing may stand in its way; embedded there is nobody else. */
  private haste(isAlone: boolean): Haste {
    return isAlone || this.isEmbedded ? 'unlimited' : 'limited';
  }

  private noteOf(name: string, part: Part, steps: number, isDone = false): string {
    return `insert into studently_migrations_progress (name, part, steps, is_done) values ('${name}', '${part}', ${steps}, ${isDone})
      on conflict (name, part) do update set steps = excluded.steps, is_done = excluded.is_done, changed_at = clock_timestamp()`;
  }

  private backfillNote(name: string, { cursor, rows }: BackfillState): string {
    const keys = cursor ? `array[${cursor.map((key) => this.client.escapeLiteral(key)).join(', ')}]` : 'null';
    return `insert into studently_migrations_progress (name, part, cursor, rows) values ('${name}', 'backfill', ${keys}, ${rows})
      on conflict (name, part) do update set cursor = excluded.cursor, rows = excluded.rows, is_done = false, changed_at = clock_timestamp()`;
  }

  private async executed(): Promise<string[]> {
    const { rows } = await this.client.query<{ name: string }>('select name from studently_migrations order by id');
    return rows.map(({ name }) => name);
  }

  private async progress(): Promise<Progress[]> {
    const { rows } = await this.client.query<Progress>(
      'select name, part, steps, cursor, rows, is_done as "isDone" from studently_migrations_progress',
    );
    return rows;
  }

  private async withPart(part: 'backfill' | 'contract'): Promise<string[]> {
    const { executed } = await this.status();
    const names = executed.filter((name) => this.files.has(name, part));
    if (names.length > 0) await this.client.query(OWN_TABLES);
    return names;
  }

  /** One way at a time: what has been begun is ended before it is turned round. */
  private async refuseHalf(...parts: Part[]): Promise<void> {
    const half = (await this.progress()).find(({ part, isDone, steps }) => parts.includes(part) && !isDone && steps > 0);
    if (!half) return;
    const command = {
      up: 'up',
      down: 'down --yes',
      contract: 'contract --yes',
      'contract.down': 'down --yes',
      backfill: 'backfill',
    };
    throw new MigrationStopped(
      'MIGRATION_UNFINISHED',
      `${half.name}.${half.part}.sql was interrupted after step ${half.steps}. First: npx studently migrate ${command[half.part]}`,
    );
  }

  /** Steps are committed without waiting for the disk, so that locks are shorter; what is said to be done is on it. */
  private async settle(): Promise<void> {
    await this.client.query(`select pg_logical_emit_message(true, 'studently', 'migrated')`);
  }
}
