import type { Settings } from '../config/config';
import type { Backups } from './backups';
import { EmbeddedBackups } from './embedded-backups';
import { ServedBackups } from './served-backups';

/** The backups of the database that these settings name. It need not run. */
export function openBackups(settings: Settings): Backups {
  const url = settings.DATABASE_MIGRATION_URL ?? settings.DATABASE_URL;
  return url ? new ServedBackups(settings, { url, embedded: false }) : new EmbeddedBackups(settings);
}
