import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Client } from 'pg';
import { ownFolder } from '../backup/folders';
import { startEmbeddedPostgres } from '../embedded/embedded-postgres';
import type { DatabaseTarget } from '../persistence/connection';
import { Migrations } from '../migrations/migrations';
import { openConnection } from '../persistence/open-connection';
import { lintScript, type Finding } from './lint';
import { MigrationFiles } from './migration-files';
import { Rehearsal, type StatementFacts } from './rehearsal';

export interface PlannedPart {
  readonly file: string;
  readonly statements: readonly StatementFacts[];
}

export interface PlannedMigration {
  readonly name: string;
  readonly up?: PlannedPart;
  /** What it goes through, in batches, and how many rows are left; null: its columns are not there yet. */
  readonly backfill?: {
    readonly file: string;
    readonly table: string;
    readonly keys: readonly string[];
    readonly left: number | null;
  };
  readonly contract?: PlannedPart;
}

export interface MigrationPlan {
  readonly migrations: readonly PlannedMigration[];
  readonly findings: readonly Finding[];
  /** Whether squawk was there to be asked. */
  readonly squawk: boolean;
}

/** What is still to be done in a database, tried out on an empty copy of its schema, which is made and thrown away. */
export async function planMigrations(target: DatabaseTarget, files = new MigrationFiles()): Promise<MigrationPlan> {
  const migrations = new Migrations(target, {}, files);
  const [status, left] = [await migrations.status(), await migrations.left()];
  const isOpen = status.pending.length + status.backfill.length + status.contract.length > 0;
  if (!isOpen) return { migrations: [], findings: [], squawk: true };
  const folder = ownFolder(tmpdir(), 'studently-plan'); // of one that was interrupted the next removes it
  try {
    const scratch = await startEmbeddedPostgres(folder);
    try {
      return await rehearse(scratch.target, files, { ...status, left });
    } finally {
      await scratch.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface From {
  executed: readonly string[];
  pending: readonly string[];
  backfill: readonly string[];
  contract: readonly string[];
  left: Record<string, number>;
}

/** @param scratch an empty database that is thrown away */
export async function rehearse(scratch: DatabaseTarget, files: MigrationFiles, from: From): Promise<MigrationPlan> {
  const client = await openConnection(scratch, { patient: true });
  try {
    return await rehearseOn(client, files, from);
  } finally {
    await client.end();
  }
}

async function rehearseOn(client: Client, files: MigrationFiles, from: From): Promise<MigrationPlan> {
  const rehearsal = new Rehearsal(client, files);
  await rehearsal.prepare(from.executed, (name) => !from.contract.includes(name));
  const findings: Finding[] = [];
  let isSquawked = true;
  const part = async (name: string, which: 'up' | 'contract'): Promise<PlannedPart> => {
    const script = files.script(name, which);
    const statements = await rehearsal.script(script);
    const lint = await lintScript(script, statements);
    findings.push(...lint.findings);
    isSquawked &&= lint.squawk;
    return { file: script.file, statements };
  };
  const migrations: PlannedMigration[] = [];
  const open = [...new Set([...from.backfill, ...from.contract])].sort();
  for (const name of [...open, ...from.pending]) {
    const isPending = from.pending.includes(name);
    const up = isPending ? await part(name, 'up') : undefined;
    const isFilling = files.has(name, 'backfill') && (isPending || from.backfill.includes(name));
    const { file, table, keys } = isFilling ? files.backfill(name) : {};
    const contract = files.has(name, 'contract') ? await part(name, 'contract') : undefined;
    migrations.push({
      name,
      ...(up && { up }),
      ...(file && table && keys && { backfill: { file, table, keys, left: from.left[name] ?? null } }),
      ...(contract && { contract }),
    });
  }
  return { migrations, findings, squawk: isSquawked };
}
