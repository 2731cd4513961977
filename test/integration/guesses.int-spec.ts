import { randomUUID } from 'node:crypto';
import { ChangePassword, OpenSession, RegisterUser, Sessions } from '@studently/identity';
import type { Learner } from '@studently/platform';
import { LoginBusy } from '../../libs/identity/src/domain/identity.errors';
import { Passwords } from '../../libs/identity/src/passwords/passwords';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { ourTables } from './catalog';

const PASSWORD = 'a very long password';
const WRONG = 'a very wrong password';
const SESSION = /^[\w-]{86}$/;
let nextAddress = 0;
const newAddress = () => `198.51.${(nextAddress >> 8) % 256}.${nextAddress++ % 256}`;

describe('Guessing passwords', () => {
  let contexts: TestContexts;
  let userId: string;
  let email: string;
  const login = (ip: string, password: string, whose = email) =>
    contexts.commands.execute(new OpenSession({}, whose, password, { ip, userAgent: 'test' })).then(
      ({ value }) => value.token,
      (error: { code: string }) => error.code,
    );
  const change = (actor: Learner, current: string) =>
    contexts.commands.execute(new ChangePassword(actor, userId, current, `another long one ${randomUUID()}`)).then(
      () => 'changed',
      (error: { code: string }) => error.code,
    );
  const register = (ip: string, password: string) =>
    contexts.commands.execute(new RegisterUser({}, { id: userId, email, password }, ip)).then(
      ({ existed }) => (existed ? 'existed' : 'made'),
      (error: { code: string }) => error.code,
    );
  const times = (count: number, what: () => Promise<string>) =>
    Array.from({ length: count }).reduce<Promise<string[]>>(
      async (before) => [...(await before), await what()],
      Promise.resolve([]),
    );
  const atOnce = (count: number, what: () => Promise<string>) => Promise.all(Array.from({ length: count }, what));
  const timesOf = (answer: string | RegExp, answers: string[]) => answers.filter((one) => one.match(answer)).length;
  beforeAll(async () => {
    contexts = await TestContexts.start();
  });
  afterAll(() => contexts?.stop());
  afterEach(() => jest.restoreAllMocks());
  beforeEach(async () => {
    userId = randomUUID();
    email = `${userId}@example.org`;
    await contexts.commands.execute(new RegisterUser({}, { id: userId, email, password: PASSWORD }));
  });

  it('SEC-9 ends after five wrong ones a minute from one address, for whoever has them right elsewhere it goes on', async () => {
    const [here, elsewhere] = [newAddress(), newAddress()];
    expect(await times(7, () => login(here, WRONG))).toEqual([
      ...Array<string>(5).fill('INVALID_CREDENTIALS'),
      ...Array<string>(2).fill('RATE_LIMITED'),
    ]);
    expect(await login(here, PASSWORD)).toBe('RATE_LIMITED');
    expect(await login(elsewhere, PASSWORD)).toMatch(SESSION);
    const other = randomUUID();
    await contexts.commands.execute(new RegisterUser({}, { id: other, email: `${other}@example.org`, password: PASSWORD }));
    expect(await login(here, PASSWORD, `${other}@example.org`)).toMatch(SESSION); // whoever else is behind that address
  });

  it('SEC-9 of an address that nobody has is slowed down in the same way', async () => {
    const here = newAddress();
    const codes = await times(6, () => login(here, WRONG, `nobody-${userId}@example.org`));
    expect(codes).toEqual([...Array<string>(5).fill('INVALID_CREDENTIALS'), 'RATE_LIMITED']);
  });

  it('SEC-9 from everywhere leaves each address one wrong one a minute, and locks nobody out', async () => {
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 10 }, () => login(newAddress(), WRONG)));
    const here = newAddress();
    expect(await times(2, () => login(here, WRONG))).toEqual(['INVALID_CREDENTIALS', 'RATE_LIMITED']);
    expect(await login(newAddress(), PASSWORD)).toMatch(SESSION);
  });

  it('SEC-9 with somebody’s session ends after five, too, for that session', async () => {
    const guesser = await contexts.app.get(Sessions).authenticate(await login(newAddress(), PASSWORD));
    const owner = await contexts.app.get(Sessions).authenticate(await login(newAddress(), PASSWORD));
    expect(await times(6, () => change(guesser, WRONG))).toEqual([
      ...Array<string>(5).fill('INVALID_CREDENTIALS'),
      'RATE_LIMITED',
    ]);
    expect(await change(owner, PASSWORD)).toBe('changed');
  });

  it('SEC-9 by many at once ends after five, too, at a login and with somebody’s session', async () => {
    const here = newAddress();
    const verify = jest.spyOn(contexts.app.get(Passwords), 'verify');
    const wrongLogins = await atOnce(20, () => login(here, WRONG));
    expect([verify.mock.calls.length, timesOf('INVALID_CREDENTIALS', wrongLogins)]).toEqual([5, 5]);
    expect(timesOf('RATE_LIMITED', wrongLogins)).toBe(15);

    const guesser = await contexts.app.get(Sessions).authenticate(await login(newAddress(), PASSWORD));
    verify.mockClear();
    const wrongChanges = await atOnce(130, () => change(guesser, WRONG));
    expect([verify.mock.calls.length, timesOf('INVALID_CREDENTIALS', wrongChanges)]).toEqual([5, 5]);
    expect(timesOf('RATE_LIMITED', wrongChanges)).toBe(125);
  });

  it('SEC-9 is not what somebody does who has the password right many times at once, also after four mistakes', async () => {
    const here = newAddress();
    await times(4, () => login(here, WRONG));
    expect(timesOf(SESSION, await atOnce(20, () => login(here, PASSWORD)))).toBe(20);
  });

  it('SEC-9 goes on behind a password that could not be looked at', async () => {
    const here = newAddress();
    jest.spyOn(contexts.app.get(Passwords), 'verify').mockRejectedValueOnce(new LoginBusy());
    expect(await atOnce(3, () => login(here, PASSWORD))).toEqual([
      'LOGIN_BUSY',
      ...Array<unknown>(2).fill(expect.stringMatching(SESSION)),
    ]);
  });

  it('SEC-9 by registering somebody once more ends after five, for logins, too; who has it right elsewhere is answered', async () => {
    const [here, elsewhere] = [newAddress(), newAddress()];
    const answers = await atOnce(7, () => register(here, WRONG));
    expect([timesOf('ID_TAKEN', answers), timesOf('RATE_LIMITED', answers)]).toEqual([5, 2]);
    expect(await register(here, PASSWORD)).toBe('RATE_LIMITED');
    expect(await login(here, PASSWORD)).toBe('RATE_LIMITED');
    expect(await atOnce(6, () => register(elsewhere, PASSWORD))).toEqual(Array(6).fill('existed'));
  });

  it('SEC-9 of a change is not over with the look: of two at once, with the same password from two sessions, one is made', async () => {
    const sessions = contexts.app.get(Sessions);
    const [one, other] = [await login(newAddress(), PASSWORD), await login(newAddress(), PASSWORD)];
    const actors = [await sessions.authenticate(one), await sessions.authenticate(other)];
    const passwords = contexts.app.get(Passwords);
    const hash = passwords.hash.bind(passwords);
    const bothAreVerified = Promise.withResolvers<void>();
    const hashes = jest.spyOn(passwords, 'hash').mockImplementation(async (password) => {
      if (hashes.mock.calls.length === 2) bothAreVerified.resolve();
      await bothAreVerified.promise;
      return hash(password);
    });
    const answers = await Promise.all(actors.map((actor) => change(actor, PASSWORD)));
    expect(answers.sort()).toEqual(['INVALID_CREDENTIALS', 'changed']);
  });

  it('SEC-9 writes nothing into PostgreSQL', async () => {
    await contexts.silence();
    const tables = await ourTables(contexts.database.adminUrl);
    const written = async () => {
      const counts = tables.map(
        (table) => `select '${table}' as name, count(*), max(xmin::text::bigint) as last from ${table}`,
      );
      return sql(contexts.database.adminUrl, counts.join(' union all '));
    };
    const before = await written();
    await times(6, () => login(newAddress(), WRONG));
    expect(await written()).toEqual(before);
  });

  it('holds no transaction open while a password is looked at', async () => {
    await contexts.silence();
    const actor = await contexts.app.get(Sessions).authenticate(await login(newAddress(), PASSWORD));
    const passwords = contexts.app.get(Passwords);
    const verify = passwords.verify.bind(passwords);
    const open: unknown[] = [];
    jest.spyOn(passwords, 'verify').mockImplementation(async (...asked) => {
      const [found] = await sql(
        contexts.database.adminUrl,
        `select count(*)::int from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
      );
      open.push(found);
      return verify(...asked);
    });
    expect(await register(newAddress(), PASSWORD)).toBe('existed');
    expect(await login(newAddress(), WRONG)).toBe('INVALID_CREDENTIALS');
    expect(await change(actor, WRONG)).toBe('INVALID_CREDENTIALS');
    expect(open).toEqual(Array(3).fill({ count: 0 }));
  });
});
