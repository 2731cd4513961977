import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { BACKGROUND, Database, SETTINGS, SYSTEM, type Settings } from '@studently/platform';
import { chosenModel } from './embedding-models';

/** The model of the settings answers, if no other one has made vectors before. Afterwards it takes a migration. */
@Injectable()
export class ModelChoice implements OnModuleInit {
  private readonly logger = new Logger(ModelChoice.name);

  constructor(
    private readonly database: Database,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(BACKGROUND) private readonly background: boolean,
  ) {}

  async onModuleInit(): Promise<void> {
    if (!this.background) return;
    const wanted = chosenModel(this.settings);
    const [row] = await this.database.write<{ model: string }>(SYSTEM, 'select serve_model($1) as model', [wanted]);
    if (row!.model === wanted) return;
    this.logger.warn(
      `${row!.model} has embedded what is there, and goes on answering. To change to ${wanted}: npx studently embeddings migrate start --model ${wanted}`,
    );
  }
}
