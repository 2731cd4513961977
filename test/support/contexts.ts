import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { Test } from '@nestjs/testing';
import { AiInteractionsModule } from '@studently/ai-interactions';
import { IdentityModule, RegisterUser } from '@studently/identity';
import { AuditSealer, JobRelay, loadSettings, OutboxRelay, PlatformModule, type Learner } from '@studently/platform';
import { StudyModule } from '@studently/study';
import { Revocations } from '../../libs/identity/src/revocations';
import { EmbeddingModels } from '../../libs/ai-interactions/src/embeddings/embedding-models';
import type { Embeddings } from '../../libs/ai-interactions/src/embeddings/embeddings';
import { LOCAL_MODEL } from '../../libs/ai-interactions/src/embeddings/local-embeddings';
import { SpaceFiller } from '../../libs/ai-interactions/src/embeddings/space-filler';
import { ReplicaLag } from '../../libs/platform/src/replication/replica-lag';
import { createTestDatabase, type TestDatabase } from './database';

/** All contexts in this process on a database of their own, without HTTP: for tests through the command and query bus. */
export class TestContexts {
  readonly commands: CommandBus;
  readonly queries: QueryBus;

  private constructor(
    readonly app: INestApplicationContext,
    readonly database: TestDatabase,
    /** STUDENTLY_DATA_DIR */
    readonly folder: string,
  ) {
    this.commands = app.get(CommandBus);
    this.queries = app.get(QueryBus);
  }

  static async start(settings: NodeJS.ProcessEnv = {}): Promise<TestContexts> {
    const database = await createTestDatabase();
    const folder = mkdtempSync(join(tmpdir(), 'studently-data-'));
    const app = await Test.createTestingModule({
      imports: [
        PlatformModule.forRoot(
          loadSettings({
            DATABASE_URL: database.url,
            REDIS_URL: process.env['TEST_REDIS_URL'],
            STUDENTLY_DATA_DIR: folder,
            ...settings,
          }),
          { url: database.url, embedded: false },
        ),
        IdentityModule,
        AiInteractionsModule,
        StudyModule,
      ],
    }).compile();
    await app.init();
    return new TestContexts(app, database, folder);
  }

  async stop(): Promise<void> {
    await this.app.close();
    await this.database.drop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Ends what runs in the background: its statements would be counted too, and fail where others are to. */
  async silence(): Promise<void> {
    await this.app.get(AuditSealer).onApplicationShutdown();
    await this.app.get(OutboxRelay).onApplicationShutdown();
    await this.app.get(Revocations).onApplicationShutdown();
    await this.app.get(JobRelay).onModuleDestroy();
    await this.app.get(SpaceFiller).onModuleDestroy();
    await this.app.get(ReplicaLag).onApplicationShutdown();
  }

  /** The model that answers, if no settings name another. */
  localModel(): Embeddings {
    return this.app.get(EmbeddingModels).of({ model: LOCAL_MODEL, url: null });
  }

  /** Registers an invented learner. */
  async newLearner(): Promise<Learner> {
    const id = randomUUID();
    await this.commands.execute(
      new RegisterUser({}, { id, email: `${id}@example.org`, password: `a long password ${id.slice(0, 4)}xyz` }),
    );
    return { userId: id, role: 'STUDENT' };
  }
}
