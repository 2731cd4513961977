import { Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { Database } from '../persistence/database';
import { SYSTEM } from '../security/actor';
import { StatementWatch, type SlowStatement } from './statement-watch';

/** By then its plan has come. */
const EVERY_MS = 2000;
/** In that time; when everything is slow, more would help nobody, and make it slower. */
const MOST = 100;

const KEEP = `
  insert into operations.slow_statements (at, request_id, statement, sql, milliseconds, outcome, plan)
  select at, request_id, statement, left(sql, 10000), milliseconds, outcome, plan
  from jsonb_to_recordset($1) as given (at timestamptz, request_id text, statement text, sql text, milliseconds integer, outcome text, plan jsonb)`;

/** Writes down statements that took longer than SLOW_STATEMENT_MS: a line in the log, and a row for `studently slow`. */
@Injectable()
export class SlowStatements implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('SlowStatements');
  private held: SlowStatement[] = [];
  private left = 0;
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly database: Database,
    private readonly watch: StatementWatch,
  ) {}

  onApplicationBootstrap(): void {
    this.watch.listener = (slow) => this.note(slow);
    this.timer = setInterval(() => void this.keep(), EVERY_MS).unref();
  }

  /** Afterwards the pool is closed: a new one would keep the process until its connection has been idle for long. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.keep();
  }

  private note(slow: SlowStatement): void {
    if (slow.sql.startsWith(KEPT_BY)) return; // or it would keep itself busy
    if (this.held.length >= MOST) return void this.left++;
    this.held.push(slow);
    const { requestId, statement, milliseconds, outcome, sql } = slow;
    this.logger.warn({ requestId, statement, milliseconds, outcome, sql: sql.slice(0, 300) }, 'Slow statement');
  }

  private async keep(): Promise<void> {
    if (this.left > 0) this.logger.warn(`${this.left} more slow statements are not written down`);
    this.left = 0;
    if (this.held.length === 0) return;
    const rows = this.held.splice(0).map(({ requestId, ...slow }) => ({ ...slow, request_id: requestId }));
    await this.database.write(SYSTEM, KEEP, [JSON.stringify(rows)]).catch(() => undefined); // the log has them
  }
}

const KEPT_BY = 'insert into operations.slow_statements';
