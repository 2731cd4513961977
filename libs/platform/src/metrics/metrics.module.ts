import { Global, Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { InjectMetric, makeCounterProvider, makeGaugeProvider, makeHistogramProvider } from '@willsoto/nestjs-prometheus';
import type { Pool, PoolClient } from 'pg';
import type { Gauge, Histogram } from 'prom-client';
import { AUDIT_FAILURES, AUDIT_SEALED, AUDIT_UNSEALED } from '../audit/audit-sealer';
import { BACKUP_AGE, BACKUP_DURATION, BACKUP_PROVEN, BACKUP_SIZE } from '../backup/backup-schedule';
import { CACHE_REQUESTS } from '../cache/read-models';
import { OUTBOX_LAG } from '../events/outbox-relay';
import { JOB_AGE, JOBS_DEAD, JOBS_WAITING } from '../jobs/job-metrics';
import { JOB_DURATION } from '../jobs/job-runner';
import { Database } from '../persistence/database';
import { REPLICA_READS } from '../persistence/replicas';
import { REPLICA_LAG_BYTES, REPLICA_LAG_SECONDS } from '../replication/replica-lag';
import { BUS_DURATION, BusMetrics } from './bus-metrics';

export const HTTP_DURATION = 'studently_http_request_duration_seconds';
const POOL_CONNECTIONS = 'studently_pool_connections';
const POOL_WAIT = 'studently_pool_wait_seconds';

const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const metrics = [
  makeHistogramProvider({
    name: HTTP_DURATION,
    help: 'HTTP requests by method, route (never the path: it holds ids) and status',
    labelNames: ['method', 'route', 'status'],
    buckets: DURATION_BUCKETS,
  }),
  makeHistogramProvider({
    name: BUS_DURATION,
    help: 'Commands and queries by name and outcome',
    labelNames: ['kind', 'name', 'outcome'],
    buckets: DURATION_BUCKETS,
  }),
  makeCounterProvider({
    name: CACHE_REQUESTS,
    help: 'Reads of cached views: hit, miss, or stale_rejected by a read token',
    labelNames: ['outcome'],
  }),
  makeCounterProvider({
    name: REPLICA_READS,
    help: 'Queries that a replica has answered, or the primary instead: it was behind, away, or passed-over because of that',
    labelNames: ['outcome'],
  }),
  makeGaugeProvider({ name: OUTBOX_LAG, help: 'Age of the oldest outbox message' }),
  makeGaugeProvider({ name: JOBS_WAITING, help: 'Jobs that must still be done, by kind', labelNames: ['job'] }),
  makeGaugeProvider({ name: JOBS_DEAD, help: 'Jobs that were given up and wait for a person, by kind', labelNames: ['job'] }),
  makeGaugeProvider({ name: JOB_AGE, help: 'Age of the oldest job that must still be done, by kind', labelNames: ['job'] }),
  makeHistogramProvider({
    name: JOB_DURATION,
    help: 'Attempts at jobs by kind and outcome (done, failed, dead, gone, handed-back)',
    labelNames: ['job', 'outcome'],
    buckets: DURATION_BUCKETS,
  }),
  makeGaugeProvider({ name: AUDIT_UNSEALED, help: 'Age of the oldest audit event that is not sealed yet' }),
  makeCounterProvider({ name: AUDIT_SEALED, help: 'Audit events that this process has sealed' }),
  makeCounterProvider({ name: AUDIT_FAILURES, help: 'Times that this process could not seal the audit log' }),
  makeGaugeProvider({ name: BACKUP_AGE, help: 'Age of the latest backup, where this process makes them' }),
  makeGaugeProvider({ name: BACKUP_SIZE, help: 'Size of the database in the latest backup' }),
  makeGaugeProvider({ name: BACKUP_DURATION, help: 'How long the latest backup took' }),
  makeGaugeProvider({ name: BACKUP_PROVEN, help: 'Time since a drill has proven a backup' }),
  makeGaugeProvider({ name: REPLICA_LAG_SECONDS, help: 'How far a standby is behind, in time', labelNames: ['standby'] }),
  makeGaugeProvider({ name: REPLICA_LAG_BYTES, help: 'How far a standby is behind, in bytes of WAL', labelNames: ['standby'] }),
  makeGaugeProvider({ name: POOL_CONNECTIONS, help: 'Database connections of the pool by state', labelNames: ['state'] }),
  makeHistogramProvider({
    name: POOL_WAIT,
    help: 'How long each transaction waited for a connection of the pool, or waited in vain',
    buckets: DURATION_BUCKETS,
  }),
];

/** Fills the pool gauge when it is read, and times each wait for a connection, whoever waits. */
@Injectable()
class PoolMetrics implements OnModuleInit {
  constructor(
    private readonly database: Database,
    @InjectMetric(POOL_CONNECTIONS) private readonly connections: Gauge<'state'>,
    @InjectMetric(POOL_WAIT) private readonly wait: Histogram,
  ) {}

  async onModuleInit(): Promise<void> {
    const pool = await this.database.pool();
    this.timeWaits(pool);
    Object.assign(this.connections, {
      collect: () => {
        this.connections.set({ state: 'idle' }, pool.idleCount);
        this.connections.set({ state: 'busy' }, pool.totalCount - pool.idleCount);
        this.connections.set({ state: 'waiting' }, pool.waitingCount);
      },
    });
  }

  private timeWaits(pool: Pool): void {
    const connect = pool.connect.bind(pool);
    const timed = async (): Promise<PoolClient> => {
      const asked = performance.now();
      try {
        return await connect();
      } finally {
        this.wait.observe((performance.now() - asked) / 1000);
      }
    };
    // pg's own pool.query takes its connection by a callback.
    Object.assign(pool, { connect: (callback?: never) => (callback ? connect(callback) : timed()) });
  }
}

@Global()
@Module({
  providers: [...metrics, PoolMetrics, BusMetrics],
  exports: metrics,
})
export class MetricsModule {}
