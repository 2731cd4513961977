import { contextOf, SYSTEM } from '../security/actor';
import type { DatabaseTarget } from './connection';
import { openConnection } from './open-connection';

/** What a database is and holds, in numbers and without anything personal. */
export interface DatabaseStatus {
  server: string;
  extensions: string;
  migration: string;
  size: string;
  outboxMessages: number;
  outboxLagSeconds: number;
  auditEvents: number;
}

const STATUS = `
  select current_setting('server_version') as server,
    (select string_agg(extname || ' ' || extversion, ', ' order by extname) from pg_extension) as extensions,
    (select max(name) from studently_migrations) as migration,
    pg_size_pretty(pg_database_size(current_database())) as size,
    count(*)::int as "outboxMessages",
    coalesce(round(extract(epoch from clock_timestamp() - min(created_at))::numeric, 1), 0)::float8 as "outboxLagSeconds",
    (select count(*)::int from audit_events) as "auditEvents"
  from outbox`;

export async function databaseStatus(target: DatabaseTarget): Promise<DatabaseStatus> {
  const client = await openConnection(target);
  try {
    await client.query(`begin read only; ${contextOf(SYSTEM)}`);
    const { rows } = await client.query<DatabaseStatus>(STATUS);
    await client.query('commit');
    return rows[0]!;
  } finally {
    await client.end();
  }
}
