import { Inject, Injectable } from '@nestjs/common';
import { HealthCheckService, HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { CACHE_STORE, SESSION_STORE, type KeyValueStore } from '../cache/key-value-store';
import { JOB_QUEUE, type JobQueue } from '../jobs/job-queue';
import { Database } from '../persistence/database';
import { Replicas } from '../persistence/replicas';
import { SYSTEM } from '../security/actor';

export interface Readiness {
  /** degraded: everything works, slower. down: send no requests here. */
  status: 'ok' | 'degraded' | 'down';
  checks: Record<string, { status: 'up' | 'down'; message?: string }>;
}

/** Whether this process can serve. */
@Injectable()
export class Health {
  private draining = false;

  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly database: Database,
    private readonly replicas: Replicas,
    @Inject(CACHE_STORE) private readonly cache: KeyValueStore,
    @Inject(SESSION_STORE) private readonly sessions: KeyValueStore,
    @Inject(JOB_QUEUE) private readonly jobs: JobQueue,
  ) {}

  /** From now on readiness says down, so that no new requests are sent here. */
  drain(): void {
    this.draining = true;
  }

  get isDraining(): boolean {
    return this.draining;
  }

  async readiness(): Promise<Readiness> {
    const required = await this.check([
      () => this.indicate('postgres', () => this.database.read(SYSTEM, 'select 1')),
      () => this.drainingCheck(),
    ]);
    const helpful = await this.check([
      () => this.indicate('cache', () => this.cache.ping()),
      () => this.indicate('sessions', () => this.sessions.ping()),
      () => this.indicate('jobs', () => this.jobs.ping()),
      ...(this.replicas.number > 0 ? [() => this.indicate('replicas', () => this.replicas.ping())] : []),
    ]);
    const checks = { ...required, ...helpful };
    const isDown = (results: Readiness['checks']) => Object.values(results).some((result) => result.status === 'down');
    return { status: isDown(required) ? 'down' : isDown(helpful) ? 'degraded' : 'ok', checks };
  }

  private async check(
    indicators: (() => HealthIndicatorResult | Promise<HealthIndicatorResult>)[],
  ): Promise<Readiness['checks']> {
    const result = await this.health.check(indicators).catch((error: { getResponse(): unknown }) => error.getResponse());
    return (result as { details: Readiness['checks'] }).details;
  }

  private drainingCheck(): HealthIndicatorResult {
    const indicator = this.indicators.check('draining');
    return this.draining ? indicator.down('shutting down') : indicator.up();
  }

  private async indicate(name: string, probe: () => Promise<unknown>): Promise<HealthIndicatorResult> {
    const indicator = this.indicators.check(name);
    try {
      await probe();
      return indicator.up();
    } catch {
      return indicator.down('does not answer');
    }
  }
}
