import { randomUUID } from 'node:crypto';
import { hash } from '@node-rs/argon2';
import { GetUser, OpenSession, RegisterUser, Sessions } from '@studently/identity';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const PASSWORD = 'a very long password';
const WEAKER = { algorithm: 2, memoryCost: 9216, timeCost: 2, parallelism: 1 };

describe('A hash that is weaker than today’s', () => {
  let contexts: TestContexts;
  const id = randomUUID();
  const login = async (password = PASSWORD) =>
    (
      await contexts.commands.execute(
        new OpenSession({ requestId: 'a login' }, `${id}@example.org`, password, { ip: '192.0.2.1', userAgent: 'test' }),
      )
    ).value.token;
  const rows = <Row extends object>(text: string) => sql<Row>(contexts.database.adminUrl, text, [id]);
  const keptHash = async () => (await rows<{ hash: string }>('select password_hash as hash from users where id = $1'))[0]!.hash;
  const rehashes = () =>
    rows<{ request_id: string }>(
      `select request_id from audit_events where learner_id = $1 and action = 'user.password-rehashed'`,
    );
  beforeAll(async () => {
    contexts = await TestContexts.start();
    await contexts.commands.execute(new RegisterUser({}, { id, email: `${id}@example.org`, password: PASSWORD }));
  });
  afterAll(() => contexts?.stop());

  it('SEC-9 is replaced by the next login, which is audited; no session ends, and cached views are not older', async () => {
    const before = await contexts.app.get(Sessions).authenticate(await login());
    const view = async () => (await contexts.queries.execute(new GetUser(before, id, 'user'))).value;
    await sql(contexts.database.adminUrl, 'update users set password_hash = $2 where id = $1', [
      id,
      await hash(PASSWORD, WEAKER),
    ]);
    await view();

    await expect(login('a very wrong password')).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await keptHash()).toContain('m=9216,'); // only who knows the password can strengthen its hash
    const tokens = await Promise.all([login(), login(), login()]);
    expect(await keptHash()).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await rehashes()).toEqual([{ request_id: 'a login' }]);
    for (const token of tokens) expect(await contexts.app.get(Sessions).authenticate(token)).toMatchObject({ userId: id });
    const [user] = await rows<{ version: number }>('select version from users where id = $1');
    expect((await view()).version).toBe(user!.version);

    await login();
    expect(await rehashes()).toHaveLength(1);
  });
});
