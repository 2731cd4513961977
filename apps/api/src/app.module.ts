import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE } from '@nestjs/core';
import { StandardSchemaValidationPipe } from '@nestjs/common';
import { AiInteractionsModule } from '@studently/ai-interactions';
import { IdentityModule } from '@studently/identity';
import { StudyModule } from '@studently/study';
import { PlatformModule, ValidationFailed, type DatabaseTarget, type Settings } from '@studently/platform';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { LoggerModule } from 'nestjs-pino';
import { ChatsController } from './ai-interactions/chats.controller';
import { DocumentsController } from './ai-interactions/documents.controller';
import { HealthController } from './health/health.controller';
import { MetricsController } from './health/metrics.controller';
import { AuthenticationGuard } from './http/authentication.guard';
import { ProblemFilter } from './http/problem.filter';
import { ProfileController } from './identity/profile.controller';
import { SessionsController } from './identity/sessions.controller';
import { SubscriptionController } from './identity/subscription.controller';
import { UsersController } from './identity/users.controller';
import { StartUpLogger } from './start-up-logger';
import { ProgressController } from './study/progress.controller';
import { StudyItemsController } from './study/study-items.controller';
import { StudyController } from './study/study.controller';

const validation = new StandardSchemaValidationPipe({
  exceptionFactory: (issues) =>
    new ValidationFailed(
      issues.map((issue) => ({
        path: (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
        code: (issue as { code?: string }).code ?? 'invalid',
        message: issue.message,
      })),
    ),
});

/** The HTTP API: controllers over the commands and queries of the contexts. */
@Module({})
export class AppModule {
  static forRoot(settings: Settings, target: DatabaseTarget): DynamicModule {
    return {
      module: AppModule,
      imports: [
        LoggerModule.forRoot({
          pinoHttp: {
            level: settings.LOG_LEVEL,
            autoLogging: false, // one line for each request is written by a hook (LOG_ACCESS)
            redact: ['req', 'res', '*.password', '*.token', '*.email', '*.authorization'],
          },
        }),
        PrometheusModule.register({ controller: MetricsController }),
        PlatformModule.forRoot(settings, target),
        IdentityModule,
        AiInteractionsModule,
        StudyModule,
      ],
      controllers: [
        UsersController,
        ProfileController,
        SubscriptionController,
        SessionsController,
        ChatsController,
        DocumentsController,
        StudyItemsController,
        StudyController,
        ProgressController,
        HealthController,
      ],
      providers: [
        StartUpLogger,
        { provide: APP_GUARD, useClass: AuthenticationGuard },
        { provide: APP_PIPE, useValue: validation },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
