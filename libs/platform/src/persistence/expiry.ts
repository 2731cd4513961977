import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { WORKS } from '../process-kind';
import { SYSTEM } from '../security/actor';
import { Database } from './database';

const EVERY_MS = 5 * 60 * 1000;
/** So many rows are a statement: one of all that a day without a worker has left would run out of time, again and again. */
const PORTION = 1000;

/** Of a table, the rows of which a condition says that they are over. */
interface Expired {
  table: string;
  condition: string;
  /** The columns of its primary key. */
  key: string;
}

/** Removes what has outlived its time. Row-level security lets the platform's own role see nothing else of it. */
@Injectable()
export class Expiry implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Expiry.name);
  private readonly expired: Expired[] = [
    { table: 'idempotency_keys', condition: `created_at < now() - interval '24 hours'`, key: 'user_id, id' },
    { table: 'import_batches', condition: `created_at < now() - interval '7 days'`, key: 'user_id, id' },
  ];
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly database: Database,
    @Inject(WORKS) private readonly works: boolean,
  ) {}

  /** The worker's policy on the table must say the same. */
  register(expired: Expired): void {
    this.expired.push(expired);
  }

  onApplicationBootstrap(): void {
    if (this.works) this.timer = setInterval(() => void this.run(), EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  async run(): Promise<void> {
    for (const expired of this.expired) {
      try {
        while ((await this.removeSome(expired)) === PORTION);
      } catch (error) {
        this.logger.warn(`Nothing was removed this time: ${error instanceof Error ? error.name : 'failure'}`);
      }
    }
  }

  private async removeSome({ table, condition, key }: Expired): Promise<number> {
    const some = `select ${key} from ${table} where ${condition} limit ${PORTION}`;
    return (await this.database.write(SYSTEM, `delete from ${table} where (${key}) in (${some}) returning 1`)).length;
  }
}
