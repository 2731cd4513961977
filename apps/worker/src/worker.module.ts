import { Module, type DynamicModule } from '@nestjs/common';
import { AiInteractionsModule } from '@studently/ai-interactions';
import { IdentityModule } from '@studently/identity';
import { OperationsModule } from '@studently/operations';
import { logging, PlatformModule, StartUpLogger, type DatabaseTarget, type Settings } from '@studently/platform';
import { StudyModule } from '@studently/study';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { HealthController } from './health.controller';

/** The same contexts as the API has, without their HTTP: jobs, relaying, expiry and sealing run here. */
@Module({})
export class WorkerModule {
  static forRoot(settings: Settings, target: DatabaseTarget): DynamicModule {
    return {
      module: WorkerModule,
      imports: [
        logging(settings),
        PrometheusModule.register(),
        PlatformModule.forRoot(settings, target, 'worker'),
        IdentityModule,
        AiInteractionsModule,
        StudyModule,
        OperationsModule,
      ],
      controllers: [HealthController],
      providers: [StartUpLogger],
    };
  }
}
