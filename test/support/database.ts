import { randomBytes } from 'node:crypto';
import { withClient } from './servers';

export interface TestDatabase {
  /** As the superuser: sees and may do everything. */
  readonly adminUrl: string;
  /** As the application logs in. */
  readonly url: string;
  drop(): Promise<void>;
}

const inDatabase = (url: string, database: string) => Object.assign(new URL(url), { pathname: `/${database}` }).href;

/** A migrated database of its own, copied from the run's template in about 50 ms; or an empty one. */
export async function createTestDatabase({ empty = false } = {}): Promise<TestDatabase> {
  const server = process.env['TEST_POSTGRES_URL']!;
  const name = `test_${randomBytes(6).toString('hex')}`;
  await withClient(server, (client) =>
    client.query(`create database ${name} template ${empty ? 'template1' : 'studently_template'}`),
  );
  return {
    adminUrl: inDatabase(server, name),
    url: inDatabase(process.env['TEST_APP_URL']!, name),
    drop: async () => {
      await withClient(server, (client) => client.query(`drop database ${name} with (force)`));
    },
  };
}

/** Runs statements as the superuser, or as a role with a learner's context, as the application would. */
export async function sql<Row extends object>(
  url: string,
  text: string,
  values: unknown[] = [],
  as?: { role: string; userId?: string; actorRole?: string },
): Promise<Row[]> {
  return withClient(url, async (client) => {
    if (!as && values.length === 0) return (await client.query<Row & Record<string, unknown>>(text)).rows;
    // A transaction: with parameters a statement is several messages, and between them PGlite may serve somebody else.
    await client.query('begin');
    if (as) {
      await client.query(`set local role ${as.role}`);
      await client.query(`select set_config('app.user_id', $1, true), set_config('app.role', $2, true)`, [
        as.userId ?? '',
        as.actorRole ?? 'STUDENT',
      ]);
    }
    const { rows } = await client.query<Row & Record<string, unknown>>(text, values);
    await client.query('commit');
    return rows;
  });
}
