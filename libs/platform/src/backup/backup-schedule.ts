import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Gauge } from 'prom-client';
import { SETTINGS, type Settings } from '../config/config';
import { WORKS } from '../process-kind';
import { BackupFault } from './backup-fault';
import type { Backup, Backups, BackupType } from './backups';
import { lastProven } from './drill';
import { drillBackups, openBackups } from './open-backups';

export const BACKUP_AGE = 'studently_backup_age_seconds';
export const BACKUP_SIZE = 'studently_backup_size_bytes';
export const BACKUP_DURATION = 'studently_backup_duration_seconds';
export const BACKUP_PROVEN = 'studently_backup_proven_age_seconds';

const LOOKS_EVERY_MS = 10 * 60 * 1000;
const HOUR_MS = 60 * 60 * 1000;
/** A little less than a day and a week, so that the hour stays the same. */
const DAY_MS = 23.5 * HOUR_MS;
const WEEK_MS = 7 * 24 * HOUR_MS - 30 * 60 * 1000;

const ageOf = (time: string) => Date.now() - Date.parse(time);

/** @returns what is due; undefined: nothing. A full backup each week, what has changed since on the other days. */
export function dueBackup(backups: readonly Backup[], isEmbedded: boolean): BackupType | undefined {
  const latest = backups.at(-1);
  if (latest && ageOf(latest.endedAt) < DAY_MS) return undefined;
  const full = backups.findLast(({ type }) => type === 'full');
  return isEmbedded || !full || ageOf(full.endedAt) > WEEK_MS ? 'full' : 'diff';
}

/** Makes backups and proves them, and says how old they are. What is due is told by what is there: a restart forgets nothing. */
@Injectable()
export class BackupSchedule implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(BackupSchedule.name);
  private readonly ending = new AbortController();
  private readonly isOn: boolean;
  private timer?: NodeJS.Timeout;
  private running?: Promise<void>;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(WORKS) works: boolean,
    @InjectMetric(BACKUP_AGE) private readonly age: Gauge,
    @InjectMetric(BACKUP_SIZE) private readonly size: Gauge,
    @InjectMetric(BACKUP_DURATION) private readonly duration: Gauge,
    @InjectMetric(BACKUP_PROVEN) private readonly proven: Gauge,
  ) {
    this.isOn = works && settings.BACKUP_SCHEDULE === 'on';
    for (const gauge of [age, size, duration, proven]) gauge.set(NaN); // not known, which is not 0
  }

  onApplicationBootstrap(): void {
    if (!this.isOn) return;
    const look = () => {
      this.running = this.turn().finally(() => {
        if (!this.ending.signal.aborted) this.timer = setTimeout(look, LOOKS_EVERY_MS).unref();
      });
    };
    look();
  }

  async onApplicationShutdown(): Promise<void> {
    this.ending.abort();
    clearTimeout(this.timer);
    await this.running;
  }

  /** Does what is due, and measures. Does not throw. */
  async turn(): Promise<void> {
    const doing = { signal: this.ending.signal };
    try {
      const backups = openBackups(this.settings);
      const type = dueBackup((await backups.list()).backups, this.settings.DATABASE_URL === undefined);
      if (type) this.logger.log(`Backup ${(await backups.run(type, doing)).label} is made.`);
      const last = lastProven(this.settings);
      if (!last || ageOf(last.endedAt) > WEEK_MS) {
        const { report, file } = await drillBackups(this.settings, doing);
        if (!report.ok) this.logger.error(`The latest backup is not proven: ${file}`);
      }
      await this.measure(backups);
    } catch (error) {
      // Another worker does it.
      if (error instanceof BackupFault && ['BACKUP_BUSY', 'BACKUP_INTERRUPTED'].includes(error.code)) return;
      this.logger.error(
        `No backup was made: ${error instanceof BackupFault ? `${error.code}: ${error.message}` : reasonOf(error)}`,
      );
    }
  }

  private async measure(backups: Backups): Promise<void> {
    const latest = (await backups.list()).backups.at(-1);
    if (!latest) return;
    const collectAge = (gauge: Gauge, time: string) => Object.assign(gauge, { collect: () => gauge.set(ageOf(time) / 1000) });
    collectAge(this.age, latest.endedAt);
    this.size.set(latest.size);
    this.duration.set((Date.parse(latest.endedAt) - Date.parse(latest.startedAt)) / 1000);
    const last = lastProven(this.settings);
    if (last) collectAge(this.proven, last.endedAt);
  }
}

const reasonOf = (error: unknown) =>
  error instanceof Error ? `${error.name} ${(error as NodeJS.ErrnoException).code ?? ''}`.trim() : 'failure';
