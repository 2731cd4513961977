import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AiInteractionsModule } from '@studently/ai-interactions';
import { IdentityModule } from '@studently/identity';
import { checkServer, PlatformModule } from '@studently/platform';
import { StudyModule } from '@studently/study';
import { withDatabase } from './with-database';

@Module({})
class CliModule {}

/** Runs a command with the same contexts, and so the same commands and queries, as the API; without its background work. */
export function withContexts<T>(work: (app: INestApplicationContext) => Promise<T>): Promise<T> {
  return withDatabase(
    (settings) => settings.DATABASE_URL,
    async (target, settings) => {
      await checkServer(target);
      const platform = PlatformModule.forRoot(settings, target, 'command');
      const app = await NestFactory.createApplicationContext(
        { module: CliModule, imports: [platform, IdentityModule, AiInteractionsModule, StudyModule] },
        { logger: ['error', 'fatal'], abortOnError: false },
      );
      try {
        return await work(app);
      } finally {
        await app.close();
      }
    },
  );
}
