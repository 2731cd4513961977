import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { WORKS } from '../process-kind';
import { SYSTEM } from '../security/actor';
import { Database } from './database';

const EVERY_MS = 5 * 60 * 1000;

/** Removes what has outlived its time. Row-level security lets the platform's own role see nothing else of it. */
@Injectable()
export class Expiry implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Expiry.name);
  private readonly statements: string[] = [
    `delete from idempotency_keys where created_at < now() - interval '24 hours'`,
    `delete from import_batches where created_at < now() - interval '7 days'`,
  ];
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly database: Database,
    @Inject(WORKS) private readonly works: boolean,
  ) {}

  /** `sql` deletes the expired rows of one table; the worker's policy on it must say what is expired. */
  register(sql: string): void {
    this.statements.push(sql);
  }

  onApplicationBootstrap(): void {
    if (this.works) this.timer = setInterval(() => void this.run(), EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  async run(): Promise<void> {
    for (const sql of this.statements) {
      try {
        await this.database.write(SYSTEM, sql);
      } catch (error) {
        this.logger.warn(`Nothing was removed this time: ${error instanceof Error ? error.name : 'failure'}`);
      }
    }
  }
}
