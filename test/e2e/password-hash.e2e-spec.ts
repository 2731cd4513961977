import { ourTables } from '../integration/catalog';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import { expectProblem, newPassword, onEachRedis, RunningApi } from './support';

const ada = { firstName: 'Ada', lastName: 'Lovelace' };
const ANY_HASH = /argon2|password_?hash/i;

describe.each(waysToRun)('the hash of a password, $name', (way) => {
  const run = new RunningApi(way, { LOG_LEVEL: 'trace' });

  /** Every value of every column of the database, but of the one that is meant to have it. */
  const elsewhere = async () => {
    const tables = await ourTables(run.databaseUrl);
    const rows = tables.map((table) => {
      const columns = table === 'users' ? "to_jsonb(t) - 'password_hash'" : 'to_jsonb(t)';
      return `select '${table}' as table, (${columns})::text as row from ${table} t`;
    });
    return sql<{ table: string; row: string }>(run.databaseUrl, rows.join(' union all '));
  };

  it('ID-3 is in no body and no header, no log line, no metric, no cache, no audit event and no message', async () => {
    const answers: string[] = [];
    const password = newPassword();
    const keep = async (asked: Promise<{ status: number; text: string; headers: Headers }>) => {
      const { status, text, headers } = await asked;
      answers.push(`${status} ${text} ${JSON.stringify([...headers])}`);
    };
    const user = await run.newLearner();
    const admin = await run.admin();
    await keep(user.http.put(`/v1/users/${user.id}/profile`, ada));
    const body = { id: user.id, email: user.email, password };
    await keep(run.http.post('/v1/users', body)); // ID_TAKEN: the hash was read
    await keep(run.http.post('/v1/sessions', { email: user.email, password: 'a wrong password' }));
    await keep(user.http.put(`/v1/users/${user.id}/password`, { currentPassword: 'a wrong password', newPassword: password }));
    await keep(user.http.put(`/v1/users/${user.id}/password`, { currentPassword: user.password, newPassword: password }));
    await keep(run.http.post('/v1/sessions', { email: user.email, password }));
    for (const path of ['', '/profile']) {
      await keep(user.http.get(`/v1/users/${user.id}${path}`));
      await keep(admin.get(`/v1/users/${user.id}${path}`));
    }
    await keep(admin.get('/v1/users?limit=200'));
    await keep(admin.get(`/v1/users?email=${user.email}`));
    await keep(user.http.get('/v1/sessions'));
    await keep(admin.put(`/v1/users/${user.id}/role`, { role: 'TEACHER' }));
    await keep(admin.patch(`/v1/users/${user.id}`, { passwordHash: '$argon2id$x', password_hash: 'x', email: user.email }));
    await keep(run.http.get('/metrics'));

    const [{ hash }] = (await sql<{ hash: string }>(run.databaseUrl, 'select password_hash as hash from users where id = $1', [
      user.id,
    ])) as [{ hash: string }];
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    const secrets = [hash, hash.split('$').at(-1)!, password, user.password];
    const leaksIn = (text: string) => secrets.filter((secret) => text.includes(secret)).length + (ANY_HASH.test(text) ? 1 : 0);

    expect(answers.length).toBeGreaterThan(12);
    expect(answers.filter((answer) => leaksIn(answer) > 0)).toEqual([]);
    expect(leaksIn(run.api.log)).toBe(0);
    const kept = await elsewhere();
    expect(kept.map(({ table }) => table)).toEqual(expect.arrayContaining(['audit_events', 'users', 'sessions']));
    expect(kept.filter(({ row }) => secrets.some((secret) => row.includes(secret)))).toEqual([]);
    if (run.settings['REDIS_URL']) expect(await inRedis(run.settings['REDIS_URL'], leaksIn)).toEqual([]);
    expectProblem(
      await run.http.post('/v1/sessions', { email: user.email, password: user.password }),
      401,
      'INVALID_CREDENTIALS',
    );
  });
});

/** Keys whose name or value the test finds something in. */
function inRedis(url: string, leaksIn: (text: string) => number): Promise<string[]> {
  return onEachRedis(url, async (redis) => {
    const found: string[] = [];
    for await (const key of redis.scanIterator()) {
      const value = (await redis.type(key)) === 'string' ? await redis.get(key) : await redis.dump(key);
      if (leaksIn(`${key} ${value}`) > 0) found.push(key);
    }
    return found;
  });
}
