import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

export const MIGRATOR = 'studently migrate';
const API = 'studently';
const INTERVAL_MS = 4;

interface Held {
  table: string;
  mode: string;
  query: string;
  firstMs: number;
  lastMs: number;
}

/** By the server's clock. A lock that an API process waits for because of the migrator counts as well, whatever it is. */
const SAMPLE = `
  select l.pid, coalesce(l.relation::regclass::text, l.locktype) as table, l.mode, l.granted, left(a.query, 80) as query,
    coalesce(a.xact_start::text, '') as begun, extract(epoch from clock_timestamp())::float8 * 1000 as now,
    coalesce(extract(epoch from clock_timestamp() - l.waitstart), 0)::float8 * 1000 as waited
  from pg_locks l join pg_stat_activity a using (pid)
  where a.datname = current_database() and (
    a.application_name = '${MIGRATOR}' and l.granted and l.locktype = 'relation'
      and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      and exists (select from pg_class c where c.oid = l.relation and c.relkind in ('r', 'p')) -- what it has just made is not seen from here
    or a.application_name = '${API}' and not l.granted and exists (
      select from pg_stat_activity m where m.application_name = '${MIGRATOR}' and m.pid = any (pg_blocking_pids(l.pid)))
  )`;

interface Seen {
  pid: number;
  table: string;
  mode: string;
  granted: boolean;
  query: string;
  begun: string;
  now: number;
  waited: number;
}

/** Looks at PostgreSQL's locks every few ms. What it tells is never longer than it was: from the first look that saw a lock to the last. */
export class LockWatch {
  private readonly held = new Map<string, Held>();
  private waits: { what: string; ms: number }[] = [];
  private isOver = false;
  samples = 0;

  private constructor(
    private readonly client: Client,
    private readonly watching: { done?: Promise<void> } = {},
  ) {}

  static async start(url: string): Promise<LockWatch> {
    const client = new Client({ connectionString: url, application_name: 'lock watch' });
    client.on('error', () => undefined);
    await client.connect();
    const watch = new LockWatch(client);
    watch.watching.done = watch.look();
    return watch;
  }

  /** @returns what has been held, or waited for, since the last time */
  take(): { what: string; ms: number }[] {
    const held = [...this.held.values()].map(({ table, mode, query, firstMs, lastMs }) => ({
      what: `${mode} of ${table} held by ${query}`,
      ms: lastMs - firstMs,
    }));
    const all = [...held, ...this.waits];
    this.held.clear();
    this.waits = [];
    return all.sort((one, other) => other.ms - one.ms);
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await this.watching.done;
    await this.client.end();
  }

  private async look(): Promise<void> {
    while (!this.isOver) {
      const { rows } = await this.client.query<Seen>(SAMPLE);
      this.samples += 1;
      for (const row of rows) this.see(row);
      await sleep(INTERVAL_MS);
    }
  }

  private see({ pid, table, mode, granted, query, begun, now, waited }: Seen): void {
    if (!granted) {
      this.waits.push({ what: `a request waited for ${mode} of ${table}: ${query}`, ms: waited });
      return;
    }
    const key = `${pid} ${begun} ${table} ${mode}`;
    const known = this.held.get(key);
    if (known) known.lastMs = now;
    else this.held.set(key, { table, mode, query, firstMs: now, lastMs: now });
  }
}
