import { Inject, Injectable } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Gauge } from 'prom-client';
import { Database } from '../persistence/database';
import { WORKS } from '../process-kind';
import { SYSTEM } from '../security/actor';
import { Jobs } from './jobs';

export const JOBS_WAITING = 'studently_jobs_waiting';
export const JOBS_DEAD = 'studently_jobs_dead';
export const JOB_AGE = 'studently_jobs_oldest_seconds';

const STAND = `
  select job, count(*) filter (where dead_at is null)::int as waiting, count(dead_at)::int as dead,
    coalesce(extract(epoch from clock_timestamp() - min(created_at) filter (where dead_at is null)), 0)::float8 as age
  from jobs group by job`;

interface Stand {
  job: string;
  waiting: number;
  dead: number;
  age: number;
}

/** Fills the gauges of the jobs when they are read, all of them at once. */
@Injectable()
export class JobMetrics {
  private collecting?: Promise<void>;

  constructor(
    private readonly database: Database,
    private readonly jobs: Jobs,
    @InjectMetric(JOBS_WAITING) private readonly waiting: Gauge<'job'>,
    @InjectMetric(JOBS_DEAD) private readonly dead: Gauge<'job'>,
    @InjectMetric(JOB_AGE) private readonly age: Gauge<'job'>,
    @Inject(WORKS) works: boolean,
  ) {
    if (!works) return;
    const collect = () => (this.collecting ??= this.collect().finally(() => (this.collecting = undefined)));
    for (const gauge of [waiting, dead, age]) Object.assign(gauge, { collect });
  }

  private async collect(): Promise<void> {
    const stands = await this.database.read<Stand & object>(SYSTEM, STAND).catch(() => undefined);
    for (const job of stands ? this.jobs.names : []) {
      const { waiting, dead, age } = stands!.find((stand) => stand.job === job) ?? { waiting: 0, dead: 0, age: 0 };
      this.waiting.set({ job }, waiting);
      this.dead.set({ job }, dead);
      this.age.set({ job }, age);
    }
  }
}
