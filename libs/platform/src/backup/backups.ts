import type { DatabaseTarget } from '../persistence/connection';
import type { Marker } from './marker';

export const BACKUP_TYPES = ['full', 'diff', 'incr'] as const;
export type BackupType = (typeof BACKUP_TYPES)[number];

export interface Backup {
  /** Names it: `--to` takes this. */
  label: string;
  type: BackupType;
  /** ISO 8601, UTC. */
  startedAt: string;
  endedAt: string;
  /** Of the database, in bytes. */
  size: number;
  /** What it takes in the repository by itself, in bytes. */
  stored: number;
  /** What is needed besides it. */
  needs: string[];
  /** The WAL segment that it begins with; undefined: embedded. */
  firstSegment?: string;
  /** Without one (the process was killed, or somebody else made the backup) a drill has nothing to compare with. */
  marker?: Marker;
}

export interface BackupList {
  /** The oldest first. */
  backups: Backup[];
  /** Names of the first and the last WAL segment; undefined: none, or embedded. */
  archive?: { first: string; last: string };
}

/** What to restore: everything there is, the state at a time, or that of a backup or a named restore point. */
export type Point = { kind: 'latest' } | { kind: 'time'; at: Date } | { kind: 'name'; name: string };

export interface Restored {
  target: string;
  /** The backup that it began with. */
  label: string;
  /** When the last transaction in it was committed, as PostgreSQL tells it; undefined: none was replayed. */
  lastTransaction?: string;
  lsn?: string;
  seconds: number;
  bytes: number;
  /** What is to be done next. */
  advice: string;
}

/** A restored copy that runs: first as it was at the marker, then with all that came later. */
export interface Rehearsal {
  backup: Backup & { marker: Marker };
  atMarker: DatabaseTarget;
  /** Goes on to the end of the archive. */
  toEnd(): Promise<{ target: DatabaseTarget; lastTransaction?: string; lsn?: string }>;
  stop(): Promise<void>;
}

/** Tells what is being done; `share` is between 0 and 1. */
export type Steps = (what: string, share?: number) => void;

export interface Doing {
  signal?: AbortSignal;
  steps?: Steps;
}

/** The backups of one database: served, by pgBackRest; embedded, by itself. Every one of these may throw a BackupFault. */
export interface Backups {
  list(): Promise<BackupList>;
  /** What `run` would do. @throws as `run` does, as far as it can be told ahead */
  plan(type: BackupType): Promise<string>;
  run(type: BackupType, doing?: Doing): Promise<Backup>;
  /** Reads all that is kept. @returns what is wrong, in words; empty: nothing */
  check(doing?: Doing): Promise<string[]>;
  /** Removes what is older than is to be kept. @returns the labels of what goes, or would go */
  expire(dryRun: boolean): Promise<string[]>;
  /** What `restore` would do. @throws as `restore` does, as far as it can be told ahead */
  planRestore(point: Point, target: string): Promise<string>;
  restore(point: Point, target: string, doing?: Doing): Promise<Restored>;
  /** Restores the latest backup that has a marker into `folder`, which is empty, and starts it. */
  rehearse(folder: string, doing?: Doing): Promise<Rehearsal>;
}
