import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { MigrationFiles } from './migration-files';
import { MigrationSession, type MigrationListener, type MigrationStatus, type WayBack } from './migration-session';
import { ADVISORY_LOCKS } from '../persistence/advisory-locks';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { refuseLogin } from '../persistence/owner-session';

/** The names of all migrations of this release, in order: `0001_platform`. */
export const knownMigrations = (): string[] => new MigrationFiles().names();

/** Found by this name where it is looked at; and where our end of it is gone, its statement ends soon. */
const MARK = `set application_name = 'studently migrate'; set client_connection_check_interval = '2s'`;

const INDEX = /^[ \t]*-- serves: (.*)\n[ \t]*create (?:unique )?index (?:concurrently )?(?:if not exists )?(\w+)/gm;

/** What each index that a migration makes is for, by its name. Those of keys and constraints serve these. */
export function knownIndexes(): Map<string, string> {
  const files = new MigrationFiles();
  const texts = files.names().map((name) => files.read(`${name}.up.sql`));
  return new Map(texts.flatMap((text) => [...text.matchAll(INDEX)].map(([, serves, index]) => [index!, serves!])));
}

/** Brings a database to this release and back. Interrupted at any point, it may simply be run again. */
export class Migrations {
  constructor(
    private readonly target: DatabaseTarget,
    private readonly listener: MigrationListener = {},
    private readonly files = new MigrationFiles(),
  ) {}

  async status(): Promise<MigrationStatus> {
    return this.withConnection((session) => session.status());
  }

  /** Applies what is pending. Where nobody can be served meanwhile, also what would come later. @returns the names of what was applied */
  async up(): Promise<string[]> {
    return this.asOwner((session) => session.up());
  }

  /**
   * Takes back the latest migration, all, or what came after one.
   * @returns the names of what was taken back, the latest first @throws MigrationStopped `MIGRATION_NOT_APPLIED`
   */
  async down(way: WayBack = {}): Promise<string[]> {
    return this.asOwner((session) => session.down(way));
  }

  /** What `down` would take back. */
  async toTakeBack(way: WayBack = {}): Promise<string[]> {
    return this.withConnection((session) => session.toTakeBack(way));
  }

  /** Brings rows from before to what is applied. @returns how many were changed, of each that was not complete */
  async backfill(): Promise<Record<string, number>> {
    return this.asOwner((session) => session.backfill());
  }

  /** How many rows each backfill still has to look after. */
  async left(): Promise<Record<string, number>> {
    return this.withConnection((session) => session.left());
  }

  /** Removes what only the release before needed. @returns of which migrations. @throws MigrationStopped `BACKFILL_UNFINISHED` */
  async contract(): Promise<string[]> {
    return this.asOwner((session) => session.contract());
  }

  /** @throws ConfigurationError if the login may not */
  private asOwner<T>(work: (session: MigrationSession) => Promise<T>): Promise<T> {
    return this.withConnection(work, mayActAsOwner);
  }

  private async withConnection<T>(
    work: (session: MigrationSession) => Promise<T>,
    check?: (client: Client) => Promise<void>,
  ): Promise<T> {
    const client = await openConnection(this.target, { patient: true });
    try {
      if (!this.target.embedded) {
        await client.query(MARK);
        await check?.(client);
      }
      await takeLock(client);
      return await work(new MigrationSession(client, this.target.embedded, this.files, this.listener));
    } finally {
      await client.query('select pg_advisory_unlock($1)', [ADVISORY_LOCKS.migrations]).catch(() => undefined);
      await client.end();
    }
  }
}

async function mayActAsOwner(client: Client): Promise<void> {
  const { rowCount } = await client.query(`select from pg_roles where rolname = 'studently_owner'`);
  if (rowCount === 1) await client.query('set role studently_owner; reset role').catch(refuseLogin); // else it is about to be made
}

/** By asking again and again: whoever waits inside a statement is waited for by an index that is built concurrently. */
async function takeLock(connection: Client): Promise<void> {
  for (;;) {
    const { rows } = await connection.query<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [
      ADVISORY_LOCKS.migrations,
    ]);
    if (rows[0]!.held) return;
    await sleep(100);
  }
}
