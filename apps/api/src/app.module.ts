import { Module, type ArgumentMetadata, type DynamicModule, type PipeTransform } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE, DiscoveryModule } from '@nestjs/core';
import { AiInteractionsModule } from '@studently/ai-interactions';
import { IdentityModule } from '@studently/identity';
import { OperationsModule } from '@studently/operations';
import { StudyModule } from '@studently/study';
import {
  jobsUrlOf,
  logging,
  PlatformModule,
  StartUpLogger,
  ValidationFailed,
  type DatabaseTarget,
  type Settings,
} from '@studently/platform';
import { makeGaugeProvider, PrometheusModule } from '@willsoto/nestjs-prometheus';
import { ChatsController } from './ai-interactions/chats.controller';
import { DocumentsController } from './ai-interactions/documents.controller';
import { LearnerTextsController } from './ai-interactions/learner-texts.controller';
import { EVENT_STREAMS, EventStreams } from './events/event-streams';
import { EventsController } from './events/events.controller';
import { HealthController } from './health/health.controller';
import { MetricsController } from './health/metrics.controller';
import { Access } from './http/access';
import { AdmissionGuard } from './http/admission.guard';
import { PolicyCheck } from './http/policy.check';
import { ProblemFilter } from './http/problem.filter';
import { HttpRateLimits } from './http/rate-limits';
import { GrantsController } from './identity/grants.controller';
import { LearnersController } from './identity/learners.controller';
import { ProfileController } from './identity/profile.controller';
import { ServiceAccountsController } from './identity/service-accounts.controller';
import { SessionsController } from './identity/sessions.controller';
import { SubscriptionController } from './identity/subscription.controller';
import { UsersController } from './identity/users.controller';
import { LearnerStudyController } from './study/learner-study.controller';
import { ProgressController } from './study/progress.controller';
import { StudyItemsController } from './study/study-items.controller';
import { StudyController } from './study/study.controller';

type Validated = Awaited<ReturnType<NonNullable<ArgumentMetadata['schema']>['~standard']['validate']>>;

function valueOf(result: Validated): unknown {
  if (!result.issues) return result.value;
  throw new ValidationFailed(
    result.issues.map((issue) => ({
      path: (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
      code: (issue as { code?: string }).code ?? 'invalid',
      message: issue.message,
    })),
  );
}

/** Parameters that have a schema are as it says. Most have none: they wait for nothing. */
const validation: PipeTransform = {
  transform(value: unknown, { schema }: ArgumentMetadata) {
    const result = schema?.['~standard'].validate(value);
    if (result === undefined) return value;
    return result instanceof Promise ? result.then(valueOf) : valueOf(result);
  },
};

/** The HTTP API: controllers over the commands and queries of the contexts. */
@Module({})
export class AppModule {
  static forRoot(settings: Settings, target: DatabaseTarget): DynamicModule {
    return {
      module: AppModule,
      imports: [
        logging(settings),
        PrometheusModule.register({ controller: MetricsController }),
        PlatformModule.forRoot(settings, target, jobsUrlOf(settings) === undefined ? 'all' : 'api'),
        DiscoveryModule,
        IdentityModule,
        AiInteractionsModule,
        StudyModule,
        OperationsModule,
      ],
      controllers: [
        UsersController,
        ProfileController,
        SubscriptionController,
        SessionsController,
        ServiceAccountsController,
        GrantsController,
        LearnersController,
        LearnerStudyController,
        LearnerTextsController,
        ChatsController,
        DocumentsController,
        StudyItemsController,
        StudyController,
        ProgressController,
        EventsController,
        HealthController,
      ],
      providers: [
        StartUpLogger,
        HttpRateLimits,
        Access,
        PolicyCheck,
        EventStreams,
        makeGaugeProvider({ name: EVENT_STREAMS, help: 'Streams of events that are open' }),
        { provide: APP_GUARD, useClass: AdmissionGuard },
        { provide: APP_PIPE, useValue: validation },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
