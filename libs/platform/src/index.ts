export { anchorFileOf } from './audit/anchors';
export { AuditSealer } from './audit/audit-sealer';
export type { Finding } from './audit/findings';
export { AuditKeys } from './audit/signing-key';
export type { VerificationOptions, VerificationResult } from './audit/verification';
export { verifyAudit } from './audit/verify-audit';
export { BackupFault } from './backup/backup-fault';
export {
  BACKUP_TYPES,
  type Backup,
  type BackupList,
  type Backups,
  type BackupType,
  type Doing,
  type Point,
} from './backup/backups';
export { lastProven, readReport, reportInWords, type DrillReport } from './backup/drill';
export { drillBackups, openBackups } from './backup/open-backups';
export { markAccepted, openLines, type Batch } from './bulk/batches';
export { isRejection, takeInChunks, type BulkLine, type BulkResult, type LinesTaken, type Rejection } from './bulk/bulk';
export { lineOf, linesOf, MAX_LINE_BYTES, readNdjson } from './bulk/ndjson';
export { CacheMaintenance, type CacheStats, type Reason } from './cache/cache-maintenance';
export { CACHE_STORE, SESSION_STORE, type KeyValueStore } from './cache/key-value-store';
export { asDigestedView, asView, forgottenBy, type ReadModel } from './cache/read-model';
export { ReadModels } from './cache/read-models';
export { RedisConnections } from './cache/redis-connections';
export { ConfigurationError, loadSettings, SETTINGS, type Settings } from './config/config';
export { reachEmbeddedPostgres, startEmbeddedPostgres, type EmbeddedPostgres } from './embedded/embedded-postgres';
export { judging, type Check } from './doctor/check';
export { PLATFORM_CHECKS } from './doctor/checks';
export { examine, type Report } from './doctor/examine';
export { translateConstraints } from './errors/database-errors';
export {
  DependencyAway,
  DomainError,
  expectEtag,
  expectVersion,
  Forbidden,
  IdTaken,
  NotFound,
  ValidationFailed,
  VersionMismatch,
  type ErrorKind,
  type FieldFault,
} from './errors/domain-error';
export { DomainEvent, LearnerEvent } from './events/domain-event';
export { EventConsumers } from './events/event-consumers';
export { OutboxRelay } from './events/outbox-relay';
export { Health, type Readiness } from './health/health';
export { Job, JobGone, MAX_ATTEMPTS, type JobHandler } from './jobs/job';
export { JobRelay } from './jobs/job-relay';
export { Jobs } from './jobs/jobs';
export { JobsRedis, jobsUrlOf } from './jobs/jobs-redis';
export { DeadLetters, type DeadLetter, type JobCounts } from './jobs/dead-letters';
export { backOffMs, Lane, LaneFull } from './lane';
export { MalformedJson, parseJson, refuseUnkeepable, shortened } from './json';
export { logging } from './logging/logging';
export { StartUpLogger } from './logging/start-up-logger';
export { HTTP_DURATION } from './metrics/metrics.module';
export { DATABASE_TARGET, type DatabaseTarget } from './persistence/connection';
export { Database } from './persistence/database';
export { databaseStatus, type DatabaseStatus } from './persistence/database-status';
export { OwnerSession } from './persistence/owner-session';
export { HEARS_OF_SESSIONS, LoneConnection } from './persistence/lone-connection';
export { Expiry } from './persistence/expiry';
export { planMigrations, type MigrationPlan, type PlannedPart } from './migrations/plan';
export { MigrationStopped } from './migrations/script-runner';
export type { MigrationListener, MigrationStatus } from './migrations/migration-session';
export { Migrations } from './migrations/migrations';
export { snapshotSees } from './persistence/read-token';
export { checkServer } from './persistence/server-checks';
export { servedTarget } from './persistence/served-target';
export type { Transaction } from './persistence/transaction';
export { withOwner, type OwnerQuery } from './persistence/with-owner';
export { UnitOfWork } from './persistence/unit-of-work';
export { checkReplication, type ReplicationReport, type StandbyState } from './replication/replication-check';
export { StandbySetup, type StandbyPlan, type StandbyWish } from './replication/standby-setup';
export { addressPrincipal } from './rate-limit/address';
export { ExpiringMap } from './rate-limit/expiring-map';
export { decodeEventCursor, encodeEventCursor, type EventCursor } from './realtime/event-cursor';
export { EventLog, type EventPage, type OwnEvent } from './realtime/event-log';
export { LearnerNews } from './realtime/learner-news';
export { RateLimited, RateLimits, RATE_WINDOW_SECONDS, type RatePolicy, type RateVerdict } from './rate-limit/rate-limits';
export { ownerOf, ROLES, SYSTEM, whoActs, type Actor, type Idempotency, type Learner, type Role } from './security/actor';
export { ReadLog } from './security/read-log';
export { fingerprintOf, normalized } from './statements/literals';
export { askingFor } from './statements/statement-watch';
export { diffConfig, readDeclared, type ConfigDiff, type Difference } from './tuning/config-diff';
export { render, WRITTEN_BY } from './tuning/render';
export { bytesOf } from './tuning/sizes';
export { LEAST_MEMORY, readWishes, tune, WORKLOADS, type Machine, type Workload } from './tuning/tuning';
export { View, Written } from './view';
export { PlatformModule } from './platform.module';
export { endBecauseOf } from './process-end';
export { BACKGROUND, WORKS, type ProcessKind } from './process-kind';
export { dropStartUpGarbage } from './start-up-garbage';
export { MOST_ON_A_PAGE, pageOf, withinPage, type Page, type PageRequest } from './paging';
export { SealedDataUnreadable } from './security/keys/envelope';
export { LearnerCipher, type SealedColumn } from './security/keys/learner-cipher';
export { LearnerKeys } from './security/keys/learner-keys';
export { openKeys } from './security/keys/keys.module';
export { hashedLexemes, lexemesOf, type Lexemes } from './security/keys/lexemes';
export { KeyMaintenance, type KeyStatus } from './security/keys/key-maintenance';
export { openSealedJson, sealedJson } from './security/keys/sealed-json';
