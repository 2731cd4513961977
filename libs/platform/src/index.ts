export { BACKGROUND } from './background';
export { markAccepted, openLines, type Batch } from './bulk/batches';
export { isRejection, takeInChunks, type BulkLine, type BulkResult, type LinesTaken, type Rejection } from './bulk/bulk';
export { lineOf, linesOf, MAX_LINE_BYTES, readNdjson } from './bulk/ndjson';
export { CACHE_STORE, SESSION_STORE, type KeyValueStore } from './cache/key-value-store';
export { asDigestedView, asView, forgottenBy, type ReadModel } from './cache/read-model';
export { ReadModels } from './cache/read-models';
export { RedisConnections } from './cache/stores.module';
export { ConfigurationError, loadSettings, SETTINGS, type Settings } from './config/config';
export { reachEmbeddedPostgres, startEmbeddedPostgres, type EmbeddedPostgres } from './embedded/embedded-postgres';
export { translateConstraints } from './errors/database-errors';
export {
  DomainError,
  expectVersion,
  Forbidden,
  IdTaken,
  NotFound,
  ValidationFailed,
  VersionMismatch,
  type ErrorKind,
  type FieldFault,
} from './errors/domain-error';
export { DomainEvent } from './events/domain-event';
export { EventConsumers } from './events/event-consumers';
export { OutboxRelay } from './events/outbox-relay';
export { Health, type Readiness } from './health/health';
export { MalformedJson, parseJson, refuseUnkeepable } from './json';
export { HTTP_DURATION } from './metrics/metrics.module';
export { DATABASE_TARGET, type DatabaseTarget } from './persistence/connection';
export { Database } from './persistence/database';
export { databaseStatus, type DatabaseStatus } from './persistence/database-status';
export { Expiry } from './persistence/expiry';
export { Migrations, type MigrationStatus } from './persistence/migrations';
export { checkServer } from './persistence/server-checks';
export type { Transaction } from './persistence/transaction';
export { UnitOfWork } from './persistence/unit-of-work';
export { ROLES, SYSTEM, type Actor, type Idempotency, type Learner, type Role } from './security/actor';
export { View, Written } from './view';
export { PlatformModule } from './platform.module';
export { pageOf, type Page, type PageRequest } from './paging';
