import { Inject, Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { DATABASE_TARGET, OwnerSession, SETTINGS, WORKS, type DatabaseTarget, type Settings } from '@studently/platform';
import { rotateLogFile } from './logs';
import { reindex } from './reindex';
import type { Course } from './steps';
import { analyze, vacuum } from './vacuum';
import { windowAt } from './window';

const LOOK_EVERY_MS = 60_000;
/** For the lock of a table. An autovacuum lets go of it after a second. */
const PATIENCE = '5s';

/** One run for each window, whichever worker comes first. It is noted before it begins: one that dies is not tried again until the next. */
const BEGIN = `
  insert into operations.maintenance_runs (began_at) select clock_timestamp()
  where not exists (select from operations.maintenance_runs where began_at >= $1) returning id`;
const END = 'update operations.maintenance_runs set ended_at = clock_timestamp(), done = $2 where id = $1';
const FORGET = 'delete from operations.maintenance_runs where id <= (select max(id) - 400 from operations.maintenance_runs)';

/** `studently maint vacuum`, `analyze` and `reindex` by itself, and the log file of this process, within MAINTENANCE_WINDOW. */
@Injectable()
export class ScheduledMaintenance implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(ScheduledMaintenance.name);
  private timer?: NodeJS.Timeout;
  private running?: Promise<void>;
  private session?: OwnerSession;
  private isEnding = false;
  private triedSince = 0;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(DATABASE_TARGET) private readonly target: DatabaseTarget,
    @Inject(WORKS) private readonly works: boolean,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.works || !this.settings.MAINTENANCE_WINDOW) return;
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref();
    this.look();
  }

  /** What is under way is ended; it is safe at any point. */
  async beforeApplicationShutdown(): Promise<void> {
    this.isEnding = true;
    clearInterval(this.timer);
    await this.session?.cancel().catch(() => undefined);
    await this.running;
  }

  private look(): void {
    const window = windowAt(this.settings.MAINTENANCE_WINDOW!, new Date());
    if (!window || this.running || window.since.getTime() === this.triedSince) return;
    this.triedSince = window.since.getTime();
    this.running = this.run(window)
      .catch((error: Error) =>
        this.logger.warn(`Maintenance has ended early: ${(error as { code?: string }).code ?? error.message}`),
      )
      .finally(() => (this.running = undefined));
  }

  private async run({ since, leftMs }: { since: Date; leftMs: number }): Promise<void> {
    const end = Date.now() + leftMs;
    const { LOG_FILE: file, LOG_KEEP_DAYS: keepDays, DATABASE_MIGRATION_URL: url } = this.settings;
    // A disk that has no room for it is no reason to leave dead rows where they are.
    if (file)
      await rotateLogFile(file, { keepDays }).catch((error: Error) =>
        this.logger.warn(`The log is left as it is: ${error.message}`),
      );
    const target = url && !this.target.embedded ? { url, embedded: false } : this.target;
    await OwnerSession.run(target, async (session) => {
      const [begun] = await session.query<{ id: string }>(BEGIN, [since]);
      if (!begun) return; // another worker was first
      this.session = session;
      try {
        const done = await this.tidy(session, end);
        await session.query(END, [begun.id, JSON.stringify(done)]);
        await session.execute(FORGET);
        this.logger.log({ ...done }, 'Maintenance is done');
      } finally {
        this.session = undefined;
      }
    });
  }

  /** Neither one that is locked nor one that is very large holds up the others: the largest come last, and indexes have half of the time. */
  private async tidy(session: OwnerSession, end: number) {
    const left = new Set<string>();
    const until = (time: number): Course => ({
      isOver: () => this.isEnding || Date.now() >= time,
      tell: async () => {
        const leftMs = Math.max(1, Math.round(time - Date.now()));
        if (!session.target.embedded) await session.execute(`set statement_timeout = ${leftMs}`);
      },
      left: (step) => left.add(step),
    });
    await session.execute(`set lock_timeout = '${PATIENCE}'`);
    const analyzed = await analyze(session, [], until(end));
    await session.execute('set lock_timeout = 0'); // building an index waits for transactions, each of which ends
    const rebuilt = await reindex(session, [], until((Date.now() + end) / 2));
    await session.execute(`set lock_timeout = '${PATIENCE}'`);
    const vacuumed = await vacuum(session, [], until(end));
    await session.execute('set statement_timeout = 0');
    for (const { index, failed } of rebuilt) if (failed) left.add(index);
    return {
      vacuumed: vacuumed.length,
      deadRowsRemoved: vacuumed.reduce((sum, { before, after }) => sum + Math.max(0, before.deadRows - after!.deadRows), 0),
      analyzed: analyzed.length,
      rebuilt: rebuilt.filter(({ failed }) => !failed).map(({ index }) => index),
      bytesFreed: rebuilt.reduce((sum, { bytesBefore, bytesAfter }) => sum + bytesBefore - (bytesAfter ?? bytesBefore), 0),
      left: [...left],
    };
  }
}
