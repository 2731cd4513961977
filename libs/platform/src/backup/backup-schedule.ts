import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Gauge } from 'prom-client';
import { SETTINGS, type Settings } from '../config/config';
import { WORKS } from '../process-kind';
import { BackupFault } from './backup-fault';
import type { Backup, Backups, BackupType } from './backups';
import { lastDrill, lastProven } from './drill';
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
/** What is of a time to come was noted by a clock that was wrong: it puts nothing off. */
const isWithin = (time: string | undefined, ms: number) => time !== undefined && ageOf(time) < ms && ageOf(time) > -HOUR_MS;

/** @returns what is due; undefined: nothing. A full backup each week, what has changed since on the other days. */
export function dueBackup(backups: readonly Backup[], isEmbedded: boolean): BackupType | undefined {
  const latest = backups.at(-1);
  if (isWithin(latest?.endedAt, DAY_MS)) return undefined;
  const full = backups.findLast(({ type }) => type === 'full');
  return isEmbedded || !isWithin(full?.endedAt, WEEK_MS) ? 'full' : 'diff';
}

/** @returns whether the latest backup is to be proven: each week. One that could not be is tried again a day later, as each drill restores all of it. */
export function isDrillDue(backups: readonly Backup[], provenAt: string | undefined, triedAt: string | undefined): boolean {
  if (isWithin(provenAt, WEEK_MS)) return false;
  const latest = backups.at(-1);
  const isAnother = latest !== undefined && triedAt !== undefined && Date.parse(latest.endedAt) > Date.parse(triedAt);
  return isAnother || !isWithin(triedAt, DAY_MS);
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

  /** Does what is due, and measures, whatever came of it: how old the latest backup is matters most where none can be made. Does not throw. */
  async turn(): Promise<void> {
    const backups = openBackups(this.settings);
    await this.attempt('No backup was made', () => this.backUp(backups));
    await this.attempt('No backup was proven', () => this.prove(backups));
    await this.attempt('How old backups are is not known', () => this.measure(backups));
  }

  private async attempt(fault: string, work: () => Promise<void>): Promise<void> {
    try {
      if (!this.ending.signal.aborted) await work();
    } catch (error) {
      // Another worker does it.
      if (error instanceof BackupFault && ['BACKUP_BUSY', 'BACKUP_INTERRUPTED'].includes(error.code)) return;
      this.logger.error(`${fault}: ${error instanceof BackupFault ? `${error.code}: ${error.message}` : reasonOf(error)}`);
    }
  }

  private async backUp(backups: Backups): Promise<void> {
    const type = dueBackup((await backups.list()).backups, this.settings.DATABASE_URL === undefined);
    if (type) this.logger.log(`Backup ${(await backups.run(type, { signal: this.ending.signal })).label} is made.`);
  }

  private async prove(backups: Backups): Promise<void> {
    const { backups: all } = await backups.list();
    if (!isDrillDue(all, lastProven(this.settings)?.endedAt, lastDrill(this.settings)?.startedAt)) return;
    const { report, file } = await drillBackups(this.settings, { signal: this.ending.signal });
    if (!report.ok) this.logger.error(`The latest backup is not proven: ${file}`);
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
