import { ConfigurationError, Database, fingerprintOf, normalized, SYSTEM, WORKS } from '@studently/platform';
import { Inject, Injectable, Logger, Optional, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';

const EVERY_MS = 10 * 60 * 1000;
/** Of pg_stat_statements, those that take most of the time. */
const MOST = 1000;

/**
 * Planned statements alone: of others PostgreSQL 15 keeps the text as it came, with values in it (SET LOCAL app.user_id = …).
 * What extensions and people have run in other databases is none of ours.
 */
const READ = `
  select s.query, s.calls::float8 as calls, s.total_exec_time as milliseconds, clock_timestamp() as "readAt"
  from pg_stat_statements s
  where s.dbid = (select oid from pg_database where datname = current_database())
    and s.query ~* '^\\s*(/\\*.*?\\*/\\s*)*(select|with|insert|update|delete|merge|values)\\M' and s.calls > 0
  order by s.total_exec_time desc limit ${MOST}`;

interface Counted {
  query: string;
  calls: number;
  milliseconds: number;
  readAt: Date;
}

/**
 * What pg_stat_statements counts, hour by hour, also when the server has lost it meanwhile. Statements are told apart by their text without
 * values, so that one is the same whoever runs it and whatever release of PostgreSQL numbers it.
 */
@Injectable()
export class StatementHistory implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(StatementHistory.name);
  private timer?: NodeJS.Timeout;
  private hasFailed = false;

  constructor(
    private readonly database: Database,
    @Optional() @Inject(WORKS) private readonly works = false,
  ) {}

  onApplicationBootstrap(): void {
    if (this.works) this.timer = setInterval(() => void this.turn(), EVERY_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** Takes what has been counted since the last time into the history. @throws ConfigurationError `STATEMENTS_HIDDEN`, `STATEMENTS_NOT_COUNTED` */
  async count(): Promise<void> {
    const counted = new Map<string, { sql: string; calls: number; milliseconds: number }>();
    const rows = await this.read();
    for (const { query, calls, milliseconds } of rows) {
      const statement = fingerprintOf(query);
      const known = counted.get(statement);
      const [moreCalls, more] = [known?.calls ?? 0, known?.milliseconds ?? 0];
      counted.set(statement, { sql: normalized(query), calls: calls + moreCalls, milliseconds: milliseconds + more });
    }
    if (counted.size === 0) return;
    const all = [...counted.values()];
    await this.database.write(SYSTEM, 'select operations.count_statements($1, $2, $3, $4, $5)', [
      rows[0]!.readAt,
      [...counted.keys()],
      all.map(({ sql }) => sql),
      all.map(({ calls }) => calls),
      all.map(({ milliseconds }) => milliseconds),
    ]);
  }

  private async read(): Promise<Counted[]> {
    try {
      return await this.database.read<Counted & Record<string, unknown>>(SYSTEM, READ, [], 'set local role pg_read_all_stats');
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === '42501') {
        throw new ConfigurationError(
          'STATEMENTS_HIDDEN',
          'studently_worker may not see the statements of others: as an administrator grant pg_read_all_stats to studently_worker',
        );
      }
      if (code === '55000' || code === '42P01') {
        throw new ConfigurationError(
          'STATEMENTS_NOT_COUNTED',
          "pg_stat_statements does not run: put shared_preload_libraries = 'pg_stat_statements' into postgresql.conf and restart PostgreSQL.",
        );
      }
      throw error;
    }
  }

  private async turn(): Promise<void> {
    try {
      await this.count();
      this.hasFailed = false;
    } catch (error) {
      const reason = error instanceof ConfigurationError ? error.message : ((error as { code?: string }).code ?? 'failure');
      if (!this.hasFailed) this.logger.warn(`Statements are not counted: ${reason}`);
      this.hasFailed = true;
    }
  }
}
