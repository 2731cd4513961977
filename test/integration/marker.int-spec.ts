import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { recordMarker } from '../../libs/platform/src/backup/marker';
import { createTestDatabase, type TestDatabase } from '../support/database';

describe('The marker of a backup', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database?.drop());

  it('TB-1 keeps no writer waiting for long, also while an index is built or a vacuum runs that does not give up', async () => {
    const clients = [new Client(database.adminUrl), new Client(database.adminUrl)] as const;
    await Promise.all(clients.map((client) => client.connect()));
    const [builder, writer] = clients;
    try {
      const { rows } = await writer.query<{ name: string }>(
        `select c.oid::regclass::text as name from pg_class c
         where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace and c.relowner = 'studently_owner'::regrole`,
      );
      const last = rows.pop()!.name; // by then all others are locked
      await builder.query(`begin; lock table ${last} in share update exclusive mode`);
      let longest = 0;
      const [marker, ending] = [recordMarker({ url: database.adminUrl, embedded: false }), new AbortController()];
      const writes = (async () => {
        while (!ending.signal.aborted) {
          const begun = performance.now();
          await writer.query(`begin; lock table ${rows.map(({ name }) => name).join(', ')} in row exclusive mode; commit`); // as who writes
          longest = Math.max(longest, performance.now() - begun);
          await sleep(10);
        }
      })();
      await sleep(12_000); // by then it is patient
      await builder.query('commit');
      expect(Object.keys((await marker).tables).length).toBeGreaterThan(20);
      ending.abort();
      await writes;
      expect(longest).toBeLessThan(900); // 150 ms, and what a busy machine adds
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  }, 60_000);
});
