import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Gauge } from 'prom-client';
import { DATABASE_TARGET, type DatabaseTarget } from '../persistence/connection';
import { Database } from '../persistence/database';
import { WORKS } from '../process-kind';
import { SYSTEM } from '../security/actor';
import { LagHistory } from './lag-history';

export const REPLICA_LAG_SECONDS = 'studently_replica_lag_seconds';
export const REPLICA_LAG_BYTES = 'studently_replica_lag_bytes';

const EVERY_MS = 1000;

/**
 * A standby by the name of its slot, also while it is away: then the slot tells what it has had. Of a standby that is there it counts
 * what it has replayed: only that is answered by it.
 */
const STANDBYS = `
  select coalesce(s.slot_name, r.application_name) as standby, coalesce(s.wal_status = 'lost', false) as lost,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text as written, pg_wal_lsn_diff(coalesce(r.replay_lsn, s.restart_lsn), '0/0')::text as replayed
  from (select * from pg_replication_slots where slot_type = 'physical' and not temporary) s
  full join (select * from pg_stat_replication where state <> 'backup') r on r.pid = s.active_pid
  right join (select) here on true
  where not pg_is_in_recovery()`;

interface Standby {
  /** null: there is none. */
  standby: string | null;
  written: string;
  replayed: string | null;
  /** What its slot had kept for it is gone, and with that the place up to which it had come. */
  lost: boolean;
}

/**
 * How far each standby is behind, measured on the primary alone. What pg_stat_replication says of it in seconds is what the standby
 * has told last: where the receiver hangs, that stays as it was.
 */
@Injectable()
export class ReplicaLag implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly history = new LagHistory();
  private timer?: NodeJS.Timeout;
  private looking?: Promise<void>;

  constructor(
    private readonly database: Database,
    @InjectMetric(REPLICA_LAG_SECONDS) private readonly seconds: Gauge<'standby'>,
    @InjectMetric(REPLICA_LAG_BYTES) private readonly bytes: Gauge<'standby'>,
    @Inject(DATABASE_TARGET) private readonly target: DatabaseTarget,
    @Inject(WORKS) private readonly works: boolean,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.works || this.target.embedded) return;
    const collect = () => this.look();
    for (const gauge of [this.seconds, this.bytes]) Object.assign(gauge, { collect });
    this.timer = setInterval(() => void this.look(), EVERY_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
  }

  /** Also when the gauges are read: what they say is of that moment. */
  private look(): Promise<void> {
    return (this.looking ??= this.measure().finally(() => (this.looking = undefined)));
  }

  /** Where the database is away, or a standby itself, nothing is said. */
  private async measure(): Promise<void> {
    const rows = await this.database
      .read<Standby & object>(SYSTEM, STANDBYS, [], 'set local role pg_read_all_stats')
      .catch(() => []);
    this.seconds.reset();
    this.bytes.reset();
    const [first] = rows;
    if (!first) return;
    const now = performance.now();
    const written = BigInt(first.written);
    this.history.record(written, now);
    let slowest = written;
    for (const { standby, replayed, lost } of rows) {
      if (standby === null) continue;
      if (replayed === null) {
        // Never again up to date, which no alert may take for well.
        if (lost) for (const gauge of [this.seconds, this.bytes]) gauge.set({ standby }, Infinity);
        continue;
      }
      const place = BigInt(replayed);
      if (place < slowest) slowest = place;
      this.seconds.set({ standby }, this.history.secondsBehind(place, now));
      this.bytes.set({ standby }, Math.max(0, Number(written - place)));
    }
    this.history.forgetBefore(slowest);
  }
}
