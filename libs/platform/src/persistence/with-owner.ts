import type { QueryResultRow } from 'pg';
import { asOwner } from '../security/keys/as-owner';
import type { DatabaseTarget } from './connection';
import { openConnection } from './open-connection';

export type OwnerQuery = <Row extends object>(sql: string, values?: readonly unknown[]) => Promise<Row[]>;

/**
 * One transaction as the role that owns the tables, and sees every row: for maintenance, by the login of migrations.
 * @throws ConfigurationError if it cannot connect
 */
export async function withOwner<T>(target: DatabaseTarget, work: (query: OwnerQuery) => Promise<T>): Promise<T> {
  const client = await openConnection(target, { patient: true });
  try {
    return await asOwner(client, () =>
      work(async <Row extends object>(sql: string, values: readonly unknown[] = []) => {
        const { rows } = await client.query<Row & QueryResultRow>(sql, [...values]);
        return rows;
      }),
    );
  } finally {
    await client.end();
  }
}
