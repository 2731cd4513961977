import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Client } from 'pg';
import { Revocations } from '../../libs/identity/src/revocations';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const MEBIBYTE = 2 ** 20;
const INSERT = `insert into revoked_sessions (id, expires_at) values ($1, now() + interval '1 hour')`;

describe('Revocations', () => {
  let database: TestDatabase;
  let revocations: Revocations;
  const write = (text: string, values: unknown[] = []) => sql(database.adminUrl, text, values);
  beforeEach(async () => {
    database = await createTestDatabase();
    revocations = new Revocations({ url: database.url, embedded: false }, true);
  });
  afterEach(async () => {
    await revocations.onApplicationShutdown();
    await database.drop();
  });

  it('are heard in whatever order their transactions commit', async () => {
    const [early, late, later] = [randomUUID(), randomUUID(), randomUUID()];
    const slow = new Client({ connectionString: database.adminUrl });
    await slow.connect();
    await slow.query('begin');
    await slow.query(INSERT, [late]); // has the oldest transaction id, and is committed last
    await write(INSERT, [early]);
    await revocations.listen();
    expect([early, late].map((id) => revocations.has(id))).toEqual([true, false]);
    await write(INSERT, [later]);
    await revocations.listen();
    await slow.query('commit');
    await slow.end();
    await revocations.listen();
    expect([early, late, later].map((id) => revocations.has(id))).toEqual([true, true, true]);
  });

  it('are of the whole list at the first look, without what has expired', async () => {
    const [current, expired] = [randomUUID(), randomUUID()];
    await write(INSERT, [current]);
    await write(`insert into revoked_sessions (id, expires_at) values ($1, now() - interval '1 second')`, [expired]);
    expect(revocations.areHeard).toBe(false);
    await revocations.listen();
    expect([revocations.areHeard, revocations.has(current), revocations.has(expired)]).toEqual([true, true, false]);
  });

  it('are not heard while PostgreSQL is away, and again when it is back', async () => {
    const away = new Revocations({ url: database.url.replace(/:\d+\//, ':1/'), embedded: false }, true);
    await away.onApplicationBootstrap(); // the start goes on
    expect(away.areHeard).toBe(false);
    await away.onApplicationShutdown();
  });

  it('take at most 40 MiB; where there are more, no store is believed', async () => {
    const many = `insert into revoked_sessions (id, expires_at) select gen_random_uuid(), now() + interval '1 hour' from generate_series(1, $1)`;
    await write(many, [250_000]);
    gc();
    const before = process.memoryUsage().heapUsed;
    await revocations.listen();
    gc();
    const used = process.memoryUsage().heapUsed - before;
    expect([revocations.areHeard, used > MEBIBYTE, used < 40 * MEBIBYTE]).toEqual([true, true, true]);
    await write(many, [1]);
    await revocations.listen();
    expect(revocations.areHeard).toBe(false);
    gc();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10 * MEBIBYTE);
  });
});
