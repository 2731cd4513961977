import { Expiry } from '@studently/platform';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

describe('What has outlived its time', () => {
  let contexts: TestContexts;
  beforeAll(async () => {
    contexts = await TestContexts.start();
  });
  afterAll(() => contexts?.stop());

  const rows = <Row extends object>(text: string) => sql<Row>(contexts.database.adminUrl, text);

  it('leaves, however much of it there is, and nothing else does', async () => {
    const { userId } = await contexts.newLearner();
    const insert = (count: number, age: string) =>
      rows(`insert into idempotency_keys (user_id, id, fingerprint, answer, read_token, created_at)
        select '${userId}', uuid_generate_v4(), decode(repeat('ab', 32), 'hex'), '{}', 'x', now() - interval '${age}'
        from generate_series(1, ${count})`);
    await insert(4500, '25 hours');
    await insert(3, '23 hours');
    await rows(
      `insert into import_batches (user_id, id, created_at) values ('${userId}', uuid_generate_v4(), now() - interval '8 days')`,
    );
    await rows(`insert into revoked_sessions (id, expires_at) values (uuid_generate_v4(), now() - interval '1 second')`);
    // A disk on which all of them together take longer than a statement may.
    await rows(
      `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.001); return old; end $$`,
    );
    await rows('create trigger slow before delete on idempotency_keys for each row execute function slow()');
    await contexts.app.get(Expiry).run();
    const left = await rows(`select (select count(*)::int from idempotency_keys) as keys,
      (select count(*)::int from import_batches) as batches, (select count(*)::int from revoked_sessions) as sessions`);
    expect(left).toEqual([{ keys: 3, batches: 0, sessions: 0 }]);
  }, 60_000);
});
