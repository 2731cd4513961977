import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Gauge } from 'prom-client';
import { BACKGROUND } from '../process-kind';
import { Database } from '../persistence/database';
import { SYSTEM } from '../security/actor';
import type { EventPayload } from './domain-event';
import { EventConsumers } from './event-consumers';

export const OUTBOX_LAG = 'studently_outbox_lag_seconds';

const POLL_MS = 200;
const BATCH = 100;

/**
 * Takes what may be taken: for 2 s it belongs to this relay, then to whoever asks, so that one which is killed holds nothing up for
 * long. No transaction stays open meanwhile.
 */
const TAKE = `
  update outbox set attempts = attempts + 1, available_at = clock_timestamp() + interval '2 seconds'
  where id in (select id from outbox where available_at <= clock_timestamp() order by available_at, id limit $1 for update skip locked)
  returning id, topic, payload, attempts`;
const DONE = 'delete from outbox where id = any($1::bigint[])';
/** Tries again every quarter of a second: when Redis is back, whatever it still holds is forgotten within a second, on a busy machine too. */
const LATER = `
  update outbox set available_at = clock_timestamp() + interval '0.25 seconds'
  where id = any($1::bigint[])`;
const LAG = 'select coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as lag from outbox';

interface OutboxRow {
  id: string;
  topic: string;
  payload: EventPayload;
  attempts: number;
}

/**
 * Delivers what committed commands left in the outbox, at least once: mostly the process that committed
 * has delivered it already and only has it removed; what is still there after half a second is taken by
 * any relay. Any number of relays may run at the same time, in any process.
 */
@Injectable()
export class OutboxRelay implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(OutboxRelay.name);
  private running?: Promise<void>;
  private timer?: NodeJS.Timeout;
  private stopped = false;
  private settled: string[] = [];

  constructor(
    private readonly database: Database,
    private readonly consumers: EventConsumers,
    @InjectMetric(OUTBOX_LAG) private readonly lag: Gauge,
    @Inject(BACKGROUND) private readonly background: boolean,
  ) {}

  onApplicationBootstrap(): void {
    if (this.background) this.schedule();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
    await this.removeSettled().catch(() => undefined); // another relay will deliver them once more
  }

  /** The message has been delivered by the process that committed it: it is removed with the next batch. */
  settle(id: string): void {
    this.settled.push(id);
  }

  /** Delivers batch after batch. Where nothing of one could be delivered, the next would fare no better now: an outage costs a batch a turn. */
  async empty(): Promise<void> {
    let batch;
    do batch = await this.relay();
    while (batch.taken === BATCH && batch.delivered > 0 && !this.stopped);
  }

  /** Delivers one batch, all of it together: consumers rely on no order, and one after the other it could outlast its lease. */
  async relay(): Promise<{ taken: number; delivered: number }> {
    const rows = await this.database.write<OutboxRow>(SYSTEM, TAKE, [BATCH]);
    const done: string[] = [];
    const failed: string[] = [];
    await Promise.all(rows.map(async (row) => ((await this.deliver(row)) ? done : failed).push(row.id)));
    if (done.length > 0) await this.database.write(SYSTEM, DONE, [done]);
    if (failed.length > 0) await this.database.write(SYSTEM, LATER, [failed]);
    return { taken: rows.length, delivered: done.length };
  }

  /** @returns whether it is delivered */
  private async deliver({ topic, payload, attempts }: OutboxRow): Promise<boolean> {
    try {
      await this.consumers.deliver(topic, payload);
      return true;
    } catch (error) {
      // At the first, second, fourth, eighth … time: an outage should not fill the log.
      if (Number.isInteger(Math.log2(attempts))) {
        this.logger.warn(`${topic} has failed ${attempts} times: ${error instanceof Error ? error.name : 'failure'}`);
      }
      return false;
    }
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.turn().finally(() => this.schedule());
    }, POLL_MS);
  }

  private async removeSettled(): Promise<void> {
    const ids = this.settled.splice(0);
    if (ids.length > 0) await this.database.write(SYSTEM, DONE, [ids]);
  }

  private async turn(): Promise<void> {
    try {
      await this.removeSettled();
      await this.empty();
      const [row] = await this.database.read<{ lag: number }>(SYSTEM, LAG);
      this.lag.set(row!.lag);
    } catch (error) {
      // The database is away; readiness says so, and the rows wait.
      this.logger.debug(`The relay waits: ${error instanceof Error ? error.name : 'failure'}`);
    }
  }
}
