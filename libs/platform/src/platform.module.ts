import { Global, Module, type DynamicModule } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { TerminusModule } from '@nestjs/terminus';
import { getToken } from '@willsoto/nestjs-prometheus';
import type { Counter } from 'prom-client';
import { AuditSealer } from './audit/audit-sealer';
import { AuditKeys } from './audit/signing-key';
import { BackupSchedule } from './backup/backup-schedule';
import { ReadModels } from './cache/read-models';
import { StoresModule } from './cache/stores.module';
import { SETTINGS, type Settings } from './config/config';
import { EventConsumers } from './events/event-consumers';
import { OutboxRelay } from './events/outbox-relay';
import { Health } from './health/health';
import { JobMetrics } from './jobs/job-metrics';
import { JobRelay } from './jobs/job-relay';
import { JobRunner } from './jobs/job-runner';
import { Jobs } from './jobs/jobs';
import { jobQueueProvider } from './jobs/job-queue.provider';
import { MetricsModule } from './metrics/metrics.module';
import { DATABASE_TARGET, ormOptions, type DatabaseTarget } from './persistence/connection';
import { Database } from './persistence/database';
import { Expiry } from './persistence/expiry';
import { Replicas, REPLICA_READS } from './persistence/replicas';
import { replicaTargets } from './persistence/served-target';
import { UnitOfWork } from './persistence/unit-of-work';
import { EventLog } from './realtime/event-log';
import { LearnerNews } from './realtime/learner-news';
import { BACKGROUND, WORKS, type ProcessKind } from './process-kind';
import { ReadLog } from './security/read-log';
import { RateLimits } from './rate-limit/rate-limits';
import { ReplicaLag } from './replication/replica-lag';
import { SlowStatements } from './statements/slow-statements';
import { StatementWatch } from './statements/statement-watch';
import { KeysModule } from './security/keys/keys.module';

const services = [
  Database,
  AuditKeys,
  AuditSealer,
  UnitOfWork,
  EventConsumers,
  ReadModels,
  OutboxRelay,
  Jobs,
  JobRunner,
  JobRelay,
  JobMetrics,
  Expiry,
  SlowStatements,
  BackupSchedule,
  ReplicaLag,
  Health,
  RateLimits,
  ReadLog,
  EventLog,
  LearnerNews,
];

/** The technical ground: import it once in an application's root module, beside the contexts that it uses. */
@Global()
@Module({})
export class PlatformModule {
  static forRoot(settings: Settings, target: DatabaseTarget, kind: ProcessKind = 'all'): DynamicModule {
    const watch = new StatementWatch(settings.SLOW_STATEMENT_MS, target.embedded);
    const given = [
      { provide: StatementWatch, useValue: watch },
      { provide: SETTINGS, useValue: settings },
      { provide: DATABASE_TARGET, useValue: target },
      { provide: BACKGROUND, useValue: kind !== 'command' },
      { provide: WORKS, useValue: kind === 'all' || kind === 'worker' },
      jobQueueProvider(settings, kind),
      {
        provide: Replicas,
        useFactory: (reads: Counter<'outcome'>) =>
          new Replicas(replicaTargets(settings), settings.DATABASE_POOL_SIZE, reads, watch),
        inject: [getToken(REPLICA_READS)],
      },
    ];
    return {
      module: PlatformModule,
      imports: [
        CqrsModule.forRoot(),
        MikroOrmModule.forRootAsync({
          driver: PostgreSqlDriver,
          useFactory: () => ({
            ...ormOptions(target, settings.DATABASE_POOL_SIZE, false, watch),
            autoLoadEntities: true,
            registerRequestContext: false,
          }),
        }) as DynamicModule,
        TerminusModule.forRoot({ logger: false }),
        StoresModule,
        KeysModule,
        MetricsModule,
      ],
      providers: [...given, ...services],
      exports: [...given, ...services, CqrsModule, KeysModule],
    };
  }
}
