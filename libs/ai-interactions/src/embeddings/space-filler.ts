import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Database, SYSTEM, WORKS } from '@studently/platform';
import { VectorSpaces } from '../queries/search/vector-spaces';

const EVERY_MS = 1000;
/** So many documents wait to be filled at most; the others are where they are. */
const MOST_WAITING = 500;

/** While a space is filled, leaves jobs for the next documents, as those before are done. Any number of workers may. */
@Injectable()
export class SpaceFiller implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(SpaceFiller.name);
  private timer?: NodeJS.Timeout;
  private looking?: Promise<void>;

  constructor(
    private readonly database: Database,
    private readonly spaces: VectorSpaces,
    @Inject(WORKS) private readonly works: boolean,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.works) return;
    this.timer = setInterval(() => {
      this.looking ??= this.look().finally(() => (this.looking = undefined));
    }, EVERY_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
  }

  private async look(): Promise<void> {
    try {
      if (!(await this.spaces.all()).some(({ state }) => state === 'filling')) return;
      await this.database.write(SYSTEM, 'select leave_filling($1)', [MOST_WAITING]);
    } catch (error) {
      this.logger.debug(`Filling goes on later: ${error instanceof Error ? error.name : 'failure'}`);
    }
  }
}
