import type { Check } from './check';
import { BACKUP_CHECKS } from './checks/backups';
import { CONNECTION_CHECKS } from './checks/connections';
import { INDEX_CHECKS } from './checks/indexes';
import { redis } from './checks/redis';
import { REPLICATION_CHECKS } from './checks/replication';
import { ROLES_CHECKS } from './checks/roles';
import { SERVER } from './checks/server';
import { SETTINGS_CHECKS } from './checks/settings';
import { TABLE_CHECKS } from './checks/tables';
import { amcheck } from './deep/amcheck';
import { ROW_CHECKS } from './deep/rows';

/** All that the platform knows to look at; contexts add what only they know. */
export const PLATFORM_CHECKS: readonly Check[] = [
  ...SERVER,
  ...SETTINGS_CHECKS,
  ...ROLES_CHECKS,
  ...CONNECTION_CHECKS,
  ...REPLICATION_CHECKS,
  ...BACKUP_CHECKS,
  ...TABLE_CHECKS,
  ...INDEX_CHECKS,
  redis,
  ...ROW_CHECKS,
  amcheck,
];
