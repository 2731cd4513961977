import { Global, Module, type DynamicModule } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { TerminusModule } from '@nestjs/terminus';
import { ReadModels } from './cache/read-models';
import { StoresModule } from './cache/stores.module';
import { BACKGROUND } from './background';
import { SETTINGS, type Settings } from './config/config';
import { EventConsumers } from './events/event-consumers';
import { OutboxRelay } from './events/outbox-relay';
import { Health } from './health/health';
import { MetricsModule } from './metrics/metrics.module';
import { DATABASE_TARGET, ormOptions, type DatabaseTarget } from './persistence/connection';
import { Database } from './persistence/database';
import { Expiry } from './persistence/expiry';
import { UnitOfWork } from './persistence/unit-of-work';

const services = [Database, UnitOfWork, EventConsumers, ReadModels, OutboxRelay, Expiry, Health];

/** The technical ground: import it once in an application's root module, beside the contexts that it uses. */
@Global()
@Module({})
export class PlatformModule {
  /**
   * @param background false for a command that comes and goes: relaying, expiry and jobs are left to the processes that stay
   */
  static forRoot(settings: Settings, target: DatabaseTarget, { background = true } = {}): DynamicModule {
    const given = [
      { provide: SETTINGS, useValue: settings },
      { provide: DATABASE_TARGET, useValue: target },
      { provide: BACKGROUND, useValue: background },
    ];
    return {
      module: PlatformModule,
      imports: [
        CqrsModule.forRoot(),
        MikroOrmModule.forRootAsync({
          driver: PostgreSqlDriver,
          useFactory: () => ({
            ...ormOptions(target, settings.DATABASE_POOL_SIZE),
            autoLoadEntities: true,
            registerRequestContext: false,
          }),
        }) as DynamicModule,
        TerminusModule.forRoot({ logger: false }),
        StoresModule,
        MetricsModule,
      ],
      providers: [...given, ...services],
      exports: [...given, ...services, CqrsModule],
    };
  }
}
