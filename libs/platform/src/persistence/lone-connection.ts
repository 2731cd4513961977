import { Client, type QueryResultRow } from 'pg';
import { translateDatabaseError } from '../errors/database-errors';
import { contextOf, type Actor } from '../security/actor';
import { connectionOptions, refuseStandby, type DatabaseTarget } from './connection';

const DEADLINE_MS = 4000;

/** The connection that each process has which stays: so many of them, so many processes. */
export const HEARS_OF_SESSIONS = 'studently sessions';

/**
 * One connection beside the pool, for what must be heard in time: however many requests wait for the pool, this one waits
 * behind none of them. It opens when it is needed, and again after a failure. One statement at a time.
 */
export class LoneConnection {
  private client?: Client;

  /** @param purpose as pg_stat_activity shows it */
  constructor(
    private readonly target: DatabaseTarget,
    private readonly purpose: string,
  ) {}

  /** Runs one statement as `actor` sees the database. @throws DatabaseUnavailable after 4 s at the latest */
  async read<Row extends QueryResultRow>(actor: Actor, sql: string, values: readonly unknown[]): Promise<Row[]> {
    try {
      this.client ??= await this.connect();
      const [, answer] = await Promise.all([
        this.client.query(`begin read only; ${contextOf(actor)}`),
        this.client.query<Row>(sql, [...values]),
        this.client.query('commit'),
      ]);
      return answer.rows;
    } catch (error) {
      await this.end();
      throw translateDatabaseError(error);
    }
  }

  async end(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    await client?.end().catch(() => undefined);
  }

  private async connect(): Promise<Client> {
    const options = {
      ...connectionOptions(this.target, 1),
      application_name: this.purpose,
      query_timeout: DEADLINE_MS,
      connectionTimeoutMillis: DEADLINE_MS,
    };
    const client = new Client(options);
    client.on('error', () => undefined); // whoever waits for an answer is told
    await client.connect();
    if (this.target.embedded) return client;
    try {
      await refuseStandby(client);
      return client;
    } catch (error) {
      await client.end();
      throw error;
    }
  }
}
