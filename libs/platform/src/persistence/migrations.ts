import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Migration } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import type { Client } from 'pg';
import { ormOptions, type DatabaseTarget } from './connection';
import { openConnection } from './open-connection';

/** Any number will do, as long as it is always the same: one migration run at a time and database. */
const MIGRATION_LOCK = 7_382_910;

/** The folder of the SQL files: `migrations/` beside the project's package.json, in source and when built. */
function migrationsFolder(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return join(folder, 'migrations');
}

/** The names of all migrations of this release, in order: `0001_platform`. */
export function knownMigrations(): string[] {
  return readdirSync(migrationsFolder())
    .filter((file) => file.endsWith('.up.sql'))
    .map((file) => file.replace('.up.sql', ''))
    .sort();
}

const INDEX = /^\s*-- serves: (.*)\n\s*create (?:unique )?index (?:concurrently )?(?:if not exists )?(\w+)/gm;

/** What each index that a migration makes is for, by its name. Those of keys and constraints serve these. */
export function knownIndexes(): Map<string, string> {
  const files = knownMigrations().map((name) => sqlFile(`${name}.up.sql`));
  return new Map(files.flatMap((file) => [...file.matchAll(INDEX)].map(([, serves, index]) => [index!, serves!])));
}

function sqlFile(name: string): string {
  return readFileSync(join(migrationsFolder(), name), 'utf8');
}

/** Begins a step of a migration that must not hold its locks until its end. */
const STEP = /^-- step\b.*$/m;
/** A query that says whether a migration in steps has been done. */
const DONE_WHEN = /^-- done when: (.*)$/m;
/** A query in a step, which then runs once for each of its answers, with the answer in place of `{}`: for partitions. */
const FOR_EACH = /^-- for each: (.*)$/m;

/** A migration as the ORM's migrator wants it. Objects belong to studently_owner, whoever has logged in. */
function migrationOf(name: string) {
  return {
    name,
    class: class extends Migration {
      /** With steps there is more than one transaction: each step is its own. */
      override isTransactional(): boolean {
        return !STEP.test(sqlFile(`${name}.up.sql`));
      }
      override async up() {
        const file = sqlFile(`${name}.up.sql`);
        if (this.isTransactional()) return this.runFile(file);
        const [, done] = DONE_WHEN.exec(file)!;
        const [isDone] = await this.answersTo(done!);
        if (isDone === true) return; // interrupted before the migrator could note it
        for (const step of file.split(STEP).slice(1)) await this.runStep(step);
      }
      override down() {
        this.runFile(sqlFile(`${name}.down.sql`), this.isTransactional() ? 'local' : 'session');
      }
      private runFile(text: string, scope = 'local') {
        this.addSql(`set ${scope} role studently_owner`);
        this.addSql(text);
        this.addSql('reset role');
      }
      /** At once, as what the next step does may depend on it. */
      private async runStep(text: string): Promise<void> {
        const [, each] = FOR_EACH.exec(text) ?? [];
        const statements = each ? (await this.answersTo(each)).map((name) => text.replaceAll('{}', String(name))) : [text];
        await this.execute('set session role studently_owner');
        for (const statement of statements) await this.execute(statement);
        await this.execute('reset role');
      }
      private async answersTo(query: string): Promise<unknown[]> {
        const rows = (await this.execute(query)) as Record<string, unknown>[];
        return rows.map((row) => Object.values(row)[0]);
      }
    },
  };
}

/** By asking again and again: whoever waits inside a statement is waited for by an index that is built concurrently. */
async function takeLock(connection: Client): Promise<void> {
  for (;;) {
    const { rows } = await connection.query<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [MIGRATION_LOCK]);
    if (rows[0]!.held) return;
    await sleep(100);
  }
}

export interface MigrationStatus {
  /** Applied, oldest first. */
  executed: string[];
  /** Of this release, not yet applied. */
  pending: string[];
}

/** Brings a database to this release and back. Interrupted at any point, it may simply be run again. */
export class Migrations {
  constructor(private readonly target: DatabaseTarget) {}

  async status(): Promise<MigrationStatus> {
    return this.withMigrator(async (orm) => this.statusOf(orm));
  }

  /** Applies what is pending. @returns the names of what was applied */
  async up(): Promise<string[]> {
    return this.withMigrator(async (orm) => {
      await orm.em.getConnection().execute(sqlFile('bootstrap.sql'));
      const applied = await orm.migrator.up();
      await orm.em.getConnection().execute('grant select on studently_migrations to studently_app, studently_worker');
      return applied.map((migration) => migration.name);
    });
  }

  /** Takes back the latest migration, or all. @returns the names of what was taken back */
  async down(options: { all?: boolean } = {}): Promise<string[]> {
    return this.withMigrator(async (orm) =>
      (await orm.migrator.down(options.all ? { to: 0 } : undefined)).map((migration) => migration.name),
    );
  }

  private async statusOf(orm: MikroORM): Promise<MigrationStatus> {
    const executed = (await orm.migrator.getExecuted()).map((migration) => migration.name);
    return { executed, pending: knownMigrations().filter((name) => !executed.includes(name)) };
  }

  private async withMigrator<T>(work: (orm: MikroORM) => Promise<T>): Promise<T> {
    const lock = await openConnection(this.target, { patient: true });
    let orm: MikroORM | undefined;
    try {
      await takeLock(lock);
      orm = await MikroORM.init({
        ...ormOptions(this.target, 1, true),
        entities: [],
        migrations: {
          tableName: 'studently_migrations',
          migrationsList: knownMigrations().map(migrationOf),
          snapshot: false,
          allOrNothing: false, // each is committed by itself, so that its locks are held no longer
        },
      });
      return await work(orm);
    } finally {
      await orm?.close(true);
      await lock.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(() => undefined);
      await lock.end();
    }
  }
}
