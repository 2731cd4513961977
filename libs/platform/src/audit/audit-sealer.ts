import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { PoolClient } from 'pg';
import type { Counter, Gauge } from 'prom-client';
import { WORKS } from '../process-kind';
import { SETTINGS, type Settings } from '../config/config';
import { ADVISORY_LOCKS } from '../persistence/advisory-locks';
import { Database } from '../persistence/database';
import { contextOf, SYSTEM } from '../security/actor';
import { anchorFileOf, appendAnchor } from './anchors';
import { CANONICAL, genesisOf, headOf, signed, statementOf, type Anchor, type Batch } from './batch';
import { AuditKeys, keyIdOf } from './signing-key';

export const AUDIT_UNSEALED = 'studently_audit_unsealed_seconds';
export const AUDIT_SEALED = 'studently_audit_sealed_events_total';
export const AUDIT_FAILURES = 'studently_audit_sealing_failures_total';

const EVERY_MS = 2000;
const HOUR_MS = 60 * 60 * 1000;
/** Small enough that nobody else in the process waits for it. */
const BATCH = 1000;

/** Where the log stands. Below the horizon nothing can appear any more: every transaction there has ended. */
const STAND = `
  select pg_try_advisory_xact_lock(${ADVISORY_LOCKS.auditSealing}) as held, l.id as log, pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
         coalesce(b.seq, 0)::text as seq, b.head, coalesce(b.last_xid, '0')::text as xid, coalesce(b.last_id, 0)::text as id,
         pg_snapshot_xmin(pg_current_snapshot()) < coalesce(b.last_xid, '0') as behind
  from audit_log l left join (select * from audit_batches order by seq desc limit 1) b on true`;
const UNSEALED = `
  select a.xid::text as xid, a.id::text as id, sha256(convert_to(${CANONICAL}, 'UTF8')) as leaf
  from audit_events a where (a.xid, a.id) > ($1::xid8, $2::bigint) and a.xid < $3::xid8 order by a.xid, a.id limit ${BATCH}`;
const KEEP = `
  insert into audit_batches (seq, first_xid, first_id, last_xid, last_id, events, ids, leaves, previous, head, sealed_at, key_id, signature)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`;
const WINDOW = `
  select greatest(0, extract(epoch from clock_timestamp() - a.occurred_at))::float8 as seconds
  from (values (1)) as one left join (select last_xid, last_id from audit_batches order by seq desc limit 1) b on true
  cross join lateral (
    select occurred_at from audit_events a where (a.xid, a.id) > (coalesce(b.last_xid, '0'), coalesce(b.last_id, 0))
    order by a.xid, a.id limit 1) a`;

interface Stand {
  held: boolean;
  log: string;
  horizon: string;
  seq: string;
  head: Buffer | null;
  xid: string;
  id: string;
  behind: boolean;
}

/** Seals what has been written, in batches of a signed hash chain. Writers do not notice: they never wait for it. */
@Injectable()
export class AuditSealer implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(AuditSealer.name);
  private timer?: NodeJS.Timeout;
  private running?: Promise<void>;
  private stopped = false;
  private failures = 0;
  private preparedAt = 0;

  constructor(
    private readonly database: Database,
    private readonly keys: AuditKeys,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(WORKS) private readonly works: boolean,
    @InjectMetric(AUDIT_UNSEALED) private readonly unsealed: Gauge,
    @InjectMetric(AUDIT_SEALED) private readonly sealed: Counter,
    @InjectMetric(AUDIT_FAILURES) private readonly failed: Counter,
  ) {}

  onApplicationBootstrap(): void {
    if (this.works) this.schedule();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  /** Seals all that can be sealed. @returns how many events */
  async seal(): Promise<number> {
    let events = 0;
    for (let count = BATCH; count === BATCH; events += count) count = await this.sealBatch();
    return events;
  }

  /** The partitions of the coming months, ahead of them. */
  async prepareMonths(): Promise<void> {
    await this.database.write(SYSTEM, 'select prepare_audit_months()');
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.turn().finally(() => this.schedule());
    }, EVERY_MS).unref();
  }

  private async turn(): Promise<void> {
    try {
      if (Date.now() - this.preparedAt > HOUR_MS) {
        await this.prepareMonths();
        this.preparedAt = Date.now();
      }
      await this.seal();
      this.failures = 0;
    } catch (error) {
      this.failed.inc();
      this.failures += 1;
      // At the first, second, fourth, eighth … time: an outage should not fill the log.
      if (Number.isInteger(Math.log2(this.failures))) this.logger.error(`The audit log is not sealed: ${reasonOf(error)}`);
    }
    await this.measure().catch(() => undefined); // the database is away; readiness says so
  }

  private async measure(): Promise<void> {
    const [oldest] = await this.database.read<{ seconds: number }>(SYSTEM, WINDOW);
    this.unsealed.set(oldest?.seconds ?? 0);
  }

  private async sealBatch(): Promise<number> {
    const anchor = await this.commitBatch(this.keys.signing); // without a key nothing is read
    if (!anchor) return 0;
    this.sealed.inc(anchor.events);
    appendAnchor(anchorFileOf(this.settings), anchor);
    return anchor.events;
  }

  private async commitBatch(signing: AuditKeys['signing']): Promise<Anchor | undefined> {
    const client = await (await this.database.pool()).connect();
    let broken: Error | undefined;
    try {
      await client.query(`begin; ${contextOf(SYSTEM)}`);
      const anchor = await this.sealIn(client, signing);
      await client.query('commit');
      return anchor;
    } catch (error) {
      throw (broken = error as Error);
    } finally {
      client.release(broken); // and with a broken connection its transaction ends
    }
  }

  private async sealIn(client: PoolClient, signing: AuditKeys['signing']): Promise<Anchor | undefined> {
    const [stand] = (await client.query<Stand>(STAND)).rows;
    if (!stand?.held) return undefined;
    if (stand.behind) throw new TransactionIdsWentBack();
    const { rows } = await client.query<{ xid: string; id: string; leaf: Buffer }>(UNSEALED, [
      stand.xid,
      stand.id,
      stand.horizon,
    ]);
    if (rows.length === 0) return undefined;
    const [first, last] = [rows[0]!, rows.at(-1)!];
    const seq = String(BigInt(stand.seq) + 1n);
    const ids = rows.map((row) => row.id);
    const leaves = Buffer.concat(rows.map((row) => row.leaf));
    const previous = stand.head ?? genesisOf(stand.log);
    const batch: Omit<Batch, 'signature'> = {
      seq,
      first_xid: first.xid,
      first_id: first.id,
      last_xid: last.xid,
      last_id: last.id,
      events: rows.length,
      ids,
      leaves,
      previous,
      head: headOf(previous, seq, ids, leaves),
      sealed_at: new Date(),
      key_id: keyIdOf(this.keys.public),
    };
    const statement = statementOf(stand.log, batch);
    const signature = signed(statement, signing);
    await client.query(KEEP, [...Object.values(batch), signature]);
    return { ...statement, signature: signature.toString('base64') };
  }
}

/** Not sealing is better than sealing in a wrong order. */
class TransactionIdsWentBack extends Error {
  constructor() {
    super(
      'the transaction ids of this server are behind those of the log, as after restoring a dump: ' +
        'advance them with pg_resetwal (docs/handbook.md, "The audit log")',
    );
    this.name = 'TransactionIdsWentBack';
  }
}

/** Messages of the database may hold values. */
function reasonOf(error: unknown): string {
  if (error instanceof TransactionIdsWentBack) return error.message;
  if (!(error instanceof Error)) return 'failure';
  const { code, syscall } = error as NodeJS.ErrnoException;
  return syscall ? `${error.message}; see AUDIT_SIGNING_KEY_FILE and AUDIT_ANCHOR_FILE` : `${error.name} ${code ?? ''}`.trim();
}
