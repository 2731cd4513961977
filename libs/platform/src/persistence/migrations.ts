import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Migration } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { Client } from 'pg';
import { connectionOptions, ormOptions, type DatabaseTarget } from './connection';

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

function sqlFile(name: string): string {
  return readFileSync(join(migrationsFolder(), name), 'utf8');
}

/** A migration as the ORM's migrator wants it. Objects belong to studently_owner, whoever has logged in. */
function migrationOf(name: string) {
  return {
    name,
    class: class extends Migration {
      override up() {
        this.runFile(`${name}.up.sql`);
      }
      override down() {
        this.runFile(`${name}.down.sql`);
      }
      private runFile(file: string) {
        this.addSql('set local role studently_owner');
        this.addSql(sqlFile(file));
        this.addSql('reset role');
      }
    },
  };
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
    const lock = new Client(connectionOptions(this.target, 1, true));
    lock.on('error', () => undefined); // whoever waits for an answer is told
    await lock.connect();
    let orm: MikroORM | undefined;
    try {
      await lock.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
      orm = await MikroORM.init({
        ...ormOptions(this.target, 1, true),
        entities: [],
        migrations: {
          tableName: 'studently_migrations',
          migrationsList: knownMigrations().map(migrationOf),
          snapshot: false,
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
