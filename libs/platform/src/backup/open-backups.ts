import type { Settings } from '../config/config';
import type { DatabaseTarget } from '../persistence/connection';
import type { Backups, Doing } from './backups';
import { drill, type DrillResult } from './drill';
import { EmbeddedBackups } from './embedded-backups';
import { ServedBackups } from './served-backups';

/** The database that is backed up; undefined: the embedded one. */
const servedTargetOf = ({ DATABASE_MIGRATION_URL, DATABASE_URL }: Settings): DatabaseTarget | undefined => {
  const url = DATABASE_MIGRATION_URL ?? DATABASE_URL;
  return url ? { url, embedded: false } : undefined;
};

/** The backups of the database that these settings name. It need not run. */
export function openBackups(settings: Settings): Backups {
  const target = servedTargetOf(settings);
  return target ? new ServedBackups(settings, target) : new EmbeddedBackups(settings);
}

/** Proves the latest of them; see `drill`. */
export const drillBackups = (settings: Settings, doing?: Doing): Promise<DrillResult> =>
  drill(openBackups(settings), settings, servedTargetOf(settings), doing);
