import { Global, Inject, Injectable, Module } from '@nestjs/common';
import { InjectMetric, makeCounterProvider, makeGaugeProvider, makeHistogramProvider } from '@willsoto/nestjs-prometheus';
import type { Gauge } from 'prom-client';
import { CACHE_REQUESTS } from '../cache/read-models';
import { OUTBOX_LAG } from '../events/outbox-relay';
import { Database } from '../persistence/database';
import { BUS_DURATION, BusMetrics } from './bus-metrics';

export const HTTP_DURATION = 'studently_http_request_duration_seconds';
const POOL_CONNECTIONS = 'studently_pool_connections';

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
  makeGaugeProvider({ name: OUTBOX_LAG, help: 'Age of the oldest outbox message' }),
  makeGaugeProvider({ name: POOL_CONNECTIONS, help: 'Database connections of the pool by state', labelNames: ['state'] }),
];

/** Fills the pool gauge when it is read. */
@Injectable()
class PoolMetrics {
  constructor(@Inject(Database) database: Database, @InjectMetric(POOL_CONNECTIONS) gauge: Gauge<'state'>) {
    Object.assign(gauge, {
      collect: async () => {
        const pool = await database.pool();
        gauge.set({ state: 'idle' }, pool.idleCount);
        gauge.set({ state: 'busy' }, pool.totalCount - pool.idleCount);
        gauge.set({ state: 'waiting' }, pool.waitingCount);
      },
    });
  }
}

@Global()
@Module({
  providers: [...metrics, PoolMetrics, BusMetrics],
  exports: metrics,
})
export class MetricsModule {}
