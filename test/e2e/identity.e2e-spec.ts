import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { admin, describeEachServed, waysToRun, type ApiProcess } from '../support/api-process';
import { sql } from '../support/database';
import { withClient } from '../support/servers';
import { HttpClient, logIn, type Answer, type TestLearner } from '../support/http';
import {
  allPages,
  expectProblem,
  letIdGo,
  newEmail,
  newPassword,
  RunningApi,
  sessionIdOf,
  statuses,
  until,
  withRedis,
} from './support';

const ada = { firstName: 'Ada', lastName: 'Lovelace' };
const DAY = 24 * 60 * 60 * 1000;
const ruleIds = (answer: Answer) => answer.body.errors.map((fault: { code: string }) => fault.code);

describe.each(waysToRun)('identity, $name', (way) => {
  const run = new RunningApi(way);

  describe('registration', () => {
    it('makes a STUDENT and shows the user', async () => {
      const email = newEmail();
      const answer = await run.http.post('/v1/users', { email, password: newPassword(), profile: ada });
      expect(answer.status).toBe(201);
      expect(answer.body).toEqual({
        id: expect.any(String),
        email,
        role: 'STUDENT',
        profile: expect.objectContaining({ ...ada, preferences: {} }),
        subscription: null,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        updatedAt: answer.body.createdAt,
        version: expect.any(Number),
      });
      expect(answer.headers.get('etag')).toBe(`"${answer.body.version}@${answer.body.createdAt}"`);
      expect(answer.headers.get('x-read-token')).toBeTruthy();
    });

    it('with the same id is once: the same body again is 200, another body 409 ID_TAKEN', async () => {
      const body = { id: randomUUID(), email: newEmail(), password: newPassword(), profile: ada };
      const first = await run.http.post('/v1/users', body);
      const again = await run.http.post('/v1/users', body);
      expect([first.status, again.status]).toEqual([201, 200]);
      expect(again.body).toEqual(first.body);

      for (const other of [
        { email: newEmail() },
        { password: newPassword() },
        { profile: { ...ada, lastName: 'Byron' } },
        { profile: { ...ada, preferences: { theme: 'dark' } } },
        { profile: undefined },
      ]) {
        expectProblem(await run.http.post('/v1/users', { ...body, ...other }), 409, 'ID_TAKEN');
      }
      expect((await run.http.get('/v1/users/me', { token: await logIn(run.http, body.email, body.password) })).body).toEqual(
        first.body,
      );
    });

    it('is not given the id of a user who was deleted within the last hour: what is remembered of them stays with nobody', async () => {
      const user = await run.newLearner();
      await user.http.get('/v1/study/stats');
      expect((await user.http.delete(`/v1/users/${user.id}`)).status).toBe(204);
      const body = { id: user.id, email: newEmail(), password: newPassword() };
      const refused = await run.http.post('/v1/users', body);
      expectProblem(refused, 409, 'ID_TAKEN');
      expect(refused.body.detail).toContain('within the last hour');
      await sql(
        run.databaseUrl,
        `update audit_events set occurred_at = occurred_at - interval '50 minutes' where learner_id = $1 and action = 'user.deleted'`,
        [user.id],
      );
      expectProblem(await run.http.post('/v1/users', body), 409, 'ID_TAKEN');
      await letIdGo(run.databaseUrl, user.id);
      expect((await run.http.post('/v1/users', body)).status).toBe(201);
    });

    it('SEC-9 tells five times a minute that a password is not right, and no more: neither does a login then', async () => {
      const body = { id: randomUUID(), email: newEmail(), password: newPassword() };
      await run.http.post('/v1/users', body);
      const guess = () => run.http.post('/v1/users', { ...body, password: newPassword() });
      expect(statuses(await Promise.all(Array.from({ length: 7 }, guess)))).toEqual([409, 409, 409, 409, 409, 429, 429]);
      expectProblem(await run.http.post('/v1/sessions', { email: body.email, password: body.password }), 429, 'RATE_LIMITED');
    });

    it('takes an id that is a uuid of no version, too, and its user is served', async () => {
      const body = { id: `ffffffff-ffff-ffff-ffff-${randomUUID().slice(-12)}`, email: newEmail(), password: newPassword() };
      expect((await run.http.post('/v1/users', body)).status).toBe(201);
      const token = await logIn(run.http, body.email, body.password);
      expect(await run.http.get('/v1/users/me', { token })).toMatchObject({ status: 200, body: { id: body.id } });
    });

    it('with the same id and body at the same moment is once, too', async () => {
      const body = { id: randomUUID(), email: newEmail(), password: newPassword() };
      const answers = await Promise.all([1, 2, 3].map(() => run.http.post('/v1/users', body)));
      expect(statuses(answers)).toEqual([200, 200, 201]);
    });

    it('of the same name written in another Unicode form is the same registration', async () => {
      const body = (firstName: string) => ({ ...fixed, profile: { firstName, lastName: 'Curie' } });
      const fixed = { id: randomUUID(), email: newEmail(), password: newPassword() };
      expect((await run.http.post('/v1/users', body('Ève'.normalize('NFC')))).status).toBe(201);
      expect((await run.http.post('/v1/users', body('Ève'.normalize('NFD')))).status).toBe(200);
    });

    it('ID-2 of one address twice at the same time, in two spellings, succeeds once', async () => {
      for (let round = 0; round < 5; round++) {
        const [name] = newEmail().split('@');
        const answers = await Promise.all(
          [`A-${name}@Example.org`, `a-${name}@example.org`].map((email) =>
            run.http.post('/v1/users', { email, password: newPassword() }),
          ),
        );
        expect(statuses(answers)).toEqual([201, 409]);
        expectProblem(
          answers.find(({ status }) => status === 409)!,
          409,
          'EMAIL_TAKEN',
        );
      }
    });

    it('SEC-4 refuses a password that breaks the policy, naming each rule', async () => {
      const email = `grace-${randomUUID()}@example.org`;
      const name = email.split('@')[0]!;
      const register = (password: string) => run.http.post('/v1/users', { email, password });
      const short = await register('fourteen chars');
      expectProblem(short, 422, 'PASSWORD_POLICY');
      expect(ruleIds(short)).toEqual(['too_short']);
      expect(ruleIds(await register('x'.repeat(257)))).toEqual(['too_long']);
      expect(ruleIds(await register(`my name is ${name.toUpperCase()}`))).toEqual(['contains_email']);
      expect(ruleIds(await register('QwertyuiopAsdfghjkl'))).toEqual(['common']);
      expect(ruleIds(await register('1234567890 Studently'))).toEqual(['contains_service']);
      const named = { email: newEmail(), password: 'in a room with Lovelace', profile: ada };
      expect(ruleIds(await run.http.post('/v1/users', named))).toEqual(['contains_name']);
      expect((await register('fifteen chars!!')).status).toBe(201);
    });

    it('refuses what is no address and no name', async () => {
      const faultOf = async (body: object) => (await run.http.post('/v1/users', { password: newPassword(), ...body })).body;
      expect(await faultOf({ email: 'nobody' })).toMatchObject({ code: 'VALIDATION_FAILED', errors: [{ path: 'email' }] });
      expect(await faultOf({ email: newEmail(), profile: { ...ada, firstName: '' } })).toMatchObject({
        code: 'VALIDATION_FAILED',
        errors: [{ path: 'profile.firstName' }],
      });
      expect((await faultOf({ email: newEmail(), profile: { ...ada, lastName: 'x'.repeat(101) } })).code).toBe(
        'VALIDATION_FAILED',
      );
    });
  });

  describe('sessions', () => {
    it('open with the password and last 24 hours', async () => {
      const user = await run.newLearner();
      const before = Date.now();
      const answer = await run.http.post('/v1/sessions', { email: user.email.toUpperCase(), password: user.password });
      expect(answer.status).toBe(201);
      expect(answer.body).toEqual({
        token: expect.stringMatching(/^[\w-]{43,}$/),
        userId: user.id,
        role: 'STUDENT',
        expiresAt: expect.any(String),
      });
      const lifetime = Date.parse(answer.body.expiresAt) - before;
      expect(lifetime).toBeGreaterThanOrEqual(DAY);
      expect(lifetime).toBeLessThan(DAY + 10_000);
    });

    it('are refused with one and the same answer for a wrong password and an unknown address', async () => {
      const user = await run.newLearner();
      const wrong = await run.http.post('/v1/sessions', { email: user.email, password: newPassword() });
      const unknown = await run.http.post('/v1/sessions', { email: newEmail(), password: user.password });
      expectProblem(wrong, 401, 'INVALID_CREDENTIALS');
      expect({ ...wrong.body, traceId: '' }).toEqual({ ...unknown.body, traceId: '' });
      expect(unknown.status).toBe(401);
    });

    it('are needed everywhere else: no token, a broken one and an invented one are 401', async () => {
      const { token } = await run.newLearner();
      const flipped = token.slice(0, -2) + (token.endsWith('AA') ? 'BA' : 'AA');
      for (const broken of [undefined, 'x', token.slice(1), flipped, `${token}A`]) {
        expectProblem(await run.http.get('/v1/users/me', { token: broken }), 401, 'UNAUTHENTICATED');
      }
      expectProblem(
        await run.http.get('/v1/users/me', { headers: { authorization: `Basic ${token}` } }),
        401,
        'UNAUTHENTICATED',
      );
    });

    it('are listed newest first, with the current one marked, and end by logout', async () => {
      const user = await run.newLearner();
      const second = run.http.as(await logIn(run.http, user.email, user.password));
      const { body } = await second.get('/v1/sessions');
      expect(body.items.map((session: { current: boolean }) => session.current)).toEqual([true, false]);
      expect((await second.get('/v1/sessions/current')).body).toEqual(body.items[0]);
      expect(await allPages(second, '/v1/sessions', 1)).toEqual(body.items);

      expect((await second.delete('/v1/sessions/current')).status).toBe(204);
      expectProblem(await second.get('/v1/sessions/current'), 401, 'SESSION_REVOKED');
      expect((await user.http.get('/v1/sessions')).body.items).toHaveLength(1);
    });

    it('end everywhere at once, and nobody else is touched', async () => {
      const user = await run.newLearner();
      const other = await run.newLearner();
      const tokens = await Promise.all([1, 2].map(() => logIn(run.http, user.email, user.password)));
      expect((await user.http.delete('/v1/sessions')).status).toBe(204);
      for (const token of [user.token, ...tokens]) {
        expectProblem(await run.http.get('/v1/users/me', { token }), 401, 'SESSION_REVOKED');
      }
      expect((await other.http.get('/v1/users/me')).status).toBe(200);
      expect(await logIn(run.http, user.email, user.password)).toBeTruthy();
    });
  });

  describe('a user', () => {
    it('reads itself by id and as "me", and changes only what is given', async () => {
      const user = await run.newLearner();
      const { body: before } = await user.http.get(`/v1/users/${user.id}`);
      expect((await user.http.get('/v1/users/me')).body).toEqual(before);
      await user.http.put(`/v1/users/${user.id}/profile`, ada);

      const email = newEmail();
      const changed = await user.http.patch(`/v1/users/${user.id}`, { email, profile: { lastName: 'King' } });
      expect(changed.status).toBe(200);
      expect(changed.body).toMatchObject({ email, role: 'STUDENT', profile: { firstName: 'Ada', lastName: 'King' } });
      expect(changed.body.createdAt).toBe(before.createdAt);
      expect(changed.body.version).toBeGreaterThan(before.version);
      expect((await user.http.get('/v1/users/me')).body).toEqual(changed.body);

      expectProblem(
        await run.http.post('/v1/sessions', { email: user.email, password: user.password }),
        401,
        'INVALID_CREDENTIALS',
      );
      expect(await logIn(run.http, email, user.password)).toBeTruthy();
    });

    it('cannot take an address that belongs to somebody else, in any spelling', async () => {
      const [user, other] = [await run.newLearner(), await run.newLearner()];
      const answer = await user.http.patch(`/v1/users/${user.id}`, { email: other.email.toUpperCase() });
      expectProblem(answer, 409, 'EMAIL_TAKEN');
      expect((await user.http.get('/v1/users/me')).body.email).toBe(user.email);
      expect((await user.http.patch(`/v1/users/${user.id}`, { email: user.email.toUpperCase() })).status).toBe(200);
    });

    it('that is somebody else does not exist, on every route', async () => {
      const [user, other] = [await run.newLearner(), await run.newLearner()];
      const period = { currentPeriodStart: '2026-01-01T00:00:00Z', currentPeriodEnd: '2026-02-01T00:00:00Z' };
      const requests: [method: string, path: string, body?: object][] = [
        ['GET', ''],
        ['PATCH', '', { email: newEmail() }],
        ['DELETE', ''],
        ['PUT', '/password', { currentPassword: other.password, newPassword: newPassword() }],
        ['PUT', '/role', { role: 'ADMIN' }],
        ['GET', '/profile'],
        ['PUT', '/profile', ada],
        ['PATCH', '/profile', { firstName: 'Mallory' }],
        ['DELETE', '/profile'],
        ['GET', '/subscription'],
        ['PUT', '/subscription', { plan: 'gold', status: 'active', ...period }],
        ['DELETE', '/subscription'],
      ];
      const before = (await other.http.get('/v1/users/me')).body;
      for (const [method, path, body] of requests) {
        const foreign = await user.http.send(method, `/v1/users/${other.id}${path}`, body);
        const missing = await user.http.send(method, `/v1/users/${randomUUID()}${path}`, body);
        expectProblem(foreign, 404, 'NOT_FOUND');
        expect({ ...foreign.body, traceId: '' }).toEqual({ ...missing.body, traceId: '' });
      }
      expect((await other.http.get('/v1/users/me')).body).toEqual(before);
    });

    it('ID-13 is deleted with everything it owns; its sessions end and its address is free', async () => {
      const user = await run.newLearner();
      await user.http.put(`/v1/users/${user.id}/profile`, ada);
      await user.http.post('/v1/chats', { title: 'Gone soon', messages: [{ role: 'user', content: 'Hello' }] });
      expect((await user.http.delete(`/v1/users/${user.id}`)).status).toBe(204);
      expectProblem(await user.http.get('/v1/users/me'), 401, 'SESSION_REVOKED');
      expectProblem(
        await run.http.post('/v1/sessions', { email: user.email, password: user.password }),
        401,
        'INVALID_CREDENTIALS',
      );

      const [left] = await sql<{ count: number }>(
        run.databaseUrl,
        `select (select count(*) from users where id = $1)::int
              + (select count(*) from profiles where user_id = $1)::int
              + (select count(*) from sessions where user_id = $1)::int
              + (select count(*) from chats where user_id = $1)::int
              + (select count(*) from chat_messages where user_id = $1)::int as count`,
        [user.id],
      );
      expect(left).toEqual({ count: 0 });
      expect((await run.http.post('/v1/users', { email: user.email, password: user.password })).status).toBe(201);
    });

    it('ID-8 has an updatedAt and a version that move with a change through the API and by raw SQL', async () => {
      const user = await run.newLearner();
      const { body: first } = await user.http.get('/v1/users/me');
      const { body: second } = await user.http.patch(`/v1/users/${user.id}`, { email: newEmail() });
      await sql(run.databaseUrl, `update users set email = $2 where id = $1`, [user.id, newEmail()]);
      const admin = await run.admin(); // never answered from the owner's cache
      const { body: third } = await admin.get(`/v1/users/${user.id}`);
      expect(second.updatedAt > first.updatedAt && third.updatedAt > second.updatedAt).toBe(true);
      expect([second.version, third.version]).toEqual([first.version + 1, first.version + 2]);
      expect(third.createdAt).toBe(first.createdAt);
    });
  });

  describe('the password', () => {
    it('changes with the current one: other sessions end, this one goes on, the old password is refused', async () => {
      const user = await run.newLearner();
      const other = await logIn(run.http, user.email, user.password);
      const wanted = newPassword();
      const change = (currentPassword: string, newOne: string) =>
        user.http.put(`/v1/users/${user.id}/password`, { currentPassword, newPassword: newOne });

      expectProblem(await change(newPassword(), wanted), 401, 'INVALID_CREDENTIALS');
      expectProblem(await change(user.password, 'too short'), 422, 'PASSWORD_POLICY');
      expect((await run.http.get('/v1/users/me', { token: other })).status).toBe(200);

      expect((await change(user.password, wanted)).status).toBe(204);
      expectProblem(await run.http.get('/v1/users/me', { token: other }), 401, 'SESSION_REVOKED');
      expect((await user.http.get('/v1/users/me')).status).toBe(200);
      expect((await user.http.get('/v1/sessions')).body.items).toHaveLength(1);
      expectProblem(
        await run.http.post('/v1/sessions', { email: user.email, password: user.password }),
        401,
        'INVALID_CREDENTIALS',
      );
      expect(await logIn(run.http, user.email, wanted)).toBeTruthy();
    });

    it('changes once however often that is asked with its Idempotency-Key, and no repetition is a guess', async () => {
      const user = await run.newLearner();
      const [first, second] = [newPassword(), newPassword()];
      const change = (currentPassword: string, newOne: string, key: string = randomUUID()) =>
        user.http.put(
          `/v1/users/${user.id}/password`,
          { currentPassword, newPassword: newOne },
          { headers: { 'idempotency-key': key } },
        );
      const key = randomUUID();
      expect((await change(user.password, first, key)).status).toBe(204);
      for (const again of await Promise.all(Array.from({ length: 6 }, () => change(user.password, first, key)))) {
        expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([204, 'true']);
      }
      expect((await change(first, second)).status).toBe(204);

      for (let guess = 1; guess <= 5; guess++) {
        expectProblem(await change(newPassword(), first, key), 422, 'IDEMPOTENCY_KEY_REUSED');
      }
      expectProblem(await change(second, first), 429, 'RATE_LIMITED');
    });
  });

  describe('the profile', () => {
    let user: TestLearner;
    let path: string;
    beforeEach(async () => {
      user = await run.newLearner();
      path = `/v1/users/${user.id}/profile`;
    });

    it('ID-5 may be missing, and there is never more than one', async () => {
      expect((await user.http.get('/v1/users/me')).body.profile).toBeNull();
      expectProblem(await user.http.get(path), 404, 'NOT_FOUND');
      expectProblem(await user.http.patch(path, { firstName: 'Ada' }), 404, 'NOT_FOUND');
      expectProblem(await user.http.delete(path), 404, 'NOT_FOUND');

      const answers = await Promise.all([1, 2, 3].map((nr) => user.http.put(path, { ...ada, preferences: { nr } })));
      expect(statuses(answers)).toEqual([200, 200, 200]);
      expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
      expect((await user.http.get('/v1/users/me')).body.profile).toEqual((await user.http.get(path)).body);
      await expect(
        sql(run.databaseUrl, `insert into profiles (user_id, first_name, last_name) values ($1, 'A', 'B')`, [user.id]),
      ).rejects.toMatchObject({ code: '23505', constraint: 'profiles_one_per_user' });
    });

    it('ID-12 has preferences that are an object; PATCH merges them and checks the version', async () => {
      for (const preferences of [[1], 'dark', 7, null]) {
        expectProblem(await user.http.put(path, { ...ada, preferences }), 422, 'VALIDATION_FAILED');
      }
      await expect(
        sql(run.databaseUrl, `insert into profiles (user_id, first_name, last_name, preferences) values ($1, 'A', 'B', '[]')`, [
          user.id,
        ]),
      ).rejects.toMatchObject({ code: '23514', constraint: 'profiles_preferences_check' });

      const put = await user.http.put(path, {
        ...ada,
        preferences: { theme: 'dark', study: { goal: 20, zone: 'Europe/Paris' } },
      });
      expect(put.status).toBe(200);
      const merged = await user.http.patch(
        path,
        { preferences: { theme: null, study: { goal: 30 }, tags: ['a'] } },
        { headers: { 'if-match': put.headers.get('etag')! } },
      );
      expect(merged.body).toMatchObject({ ...ada });
      expect(merged.body.preferences).toEqual({ study: { goal: 30, zone: 'Europe/Paris' }, tags: ['a'] });
      const late = await user.http.patch(path, { preferences: {} }, { headers: { 'if-match': put.headers.get('etag')! } });
      expectProblem(late, 412, 'VERSION_MISMATCH');
      expect((await user.http.get(path)).body).toEqual(merged.body);
    });

    it('ID-12 has preferences that the platform can go by: a known zone and a time of day, wherever they are written', async () => {
      const faultsOf = (answer: Answer) => {
        expectProblem(answer, 422, 'VALIDATION_FAILED');
        return answer.body.errors.map((fault: { path: string }) => fault.path);
      };
      const broken = { ...ada, preferences: { timeZone: '+02:00', dayStartsAt: 24 } };
      const registration = { email: newEmail(), password: newPassword(), profile: broken };
      const inProfile = ['preferences.timeZone', 'preferences.dayStartsAt'];
      const inUser = inProfile.map((fault) => `profile.${fault}`);
      expect(faultsOf(await run.http.post('/v1/users', registration))).toEqual(inUser);
      expect(faultsOf(await user.http.put(path, broken))).toEqual(inProfile);
      expectProblem(await user.http.get(path), 404, 'NOT_FOUND');

      const preferences = { timeZone: 'Asia/Kolkata', dayStartsAt: '05:30', theme: 7 };
      expect((await user.http.put(path, { ...ada, preferences })).body.preferences).toEqual(preferences);
      expect(faultsOf(await user.http.patch(path, broken))).toEqual(inProfile);
      expect(faultsOf(await user.http.patch(`/v1/users/${user.id}`, { profile: broken }))).toEqual(inUser);
      expect(faultsOf(await user.http.put(path, { ...ada, preferences: { timeZone: null } }))).toEqual([
        'preferences.timeZone',
      ]);
      expect((await user.http.get(path)).body.preferences).toEqual(preferences);
      const patched = await user.http.patch(path, { preferences: { timeZone: null, dayStartsAt: 5 } });
      expect(patched.body.preferences).toEqual({ dayStartsAt: 5, theme: 7 });
    });

    it('made again after it was deleted is another one: an old ETag neither matches nor hides it', async () => {
      const old = (await user.http.put(path, ada)).headers.get('etag')!;
      await user.http.delete(path);
      await user.http.put(path, { ...ada, lastName: 'King' });
      expect((await user.http.get(path, { headers: { 'if-none-match': old } })).status).toBe(200);
      expectProblem(await user.http.put(path, ada, { headers: { 'if-match': old } }), 412, 'VERSION_MISMATCH');
      expect((await user.http.get(path)).body.lastName).toBe('King');
    });

    it('answers ETag and 304, and honours If-Match on every write', async () => {
      const etag = (await user.http.put(path, ada)).headers.get('etag')!;
      const unchanged = await user.http.get(path, { headers: { 'if-none-match': etag } });
      expect([unchanged.status, unchanged.text]).toEqual([304, '']);

      const newer = (await user.http.put(path, { ...ada, lastName: 'King' })).headers.get('etag')!;
      expect(newer).not.toBe(etag);
      expect((await user.http.get(path, { headers: { 'if-none-match': etag } })).status).toBe(200);
      const stale = { headers: { 'if-match': etag } };
      expectProblem(await user.http.put(path, ada, stale), 412, 'VERSION_MISMATCH');
      expectProblem(await user.http.patch(path, { firstName: 'Eve' }, stale), 412, 'VERSION_MISMATCH');
      expectProblem(await user.http.delete(path, stale), 412, 'VERSION_MISMATCH');
      expect((await user.http.get(path)).body.lastName).toBe('King');
      expect((await user.http.delete(path, { headers: { 'if-match': newer } })).status).toBe(204);
      // What somebody else has deleted meanwhile does not come back.
      expectProblem(await user.http.put(path, ada, { headers: { 'if-match': newer } }), 412, 'VERSION_MISMATCH');
      expectProblem(await user.http.put(path, ada, { headers: { 'if-match': '*' } }), 412, 'VERSION_MISMATCH');
      expectProblem(await user.http.get(path), 404, 'NOT_FOUND');
    });

    it('of names up to 100 characters of any language is kept in NFC', async () => {
      const { body } = await user.http.put(path, { firstName: '李'.repeat(100), lastName: 'Ångström'.normalize('NFD') });
      expect(body).toMatchObject({ firstName: '李'.repeat(100), lastName: 'Ångström'.normalize('NFC') });
      expectProblem(await user.http.put(path, { firstName: 'x'.repeat(101), lastName: 'y' }), 422, 'VALIDATION_FAILED');
    });
  });

  describe('the subscription', () => {
    const gold = {
      plan: 'gold',
      status: 'active',
      currentPeriodStart: '2026-01-01T00:00:00.000Z',
      currentPeriodEnd: '2026-02-01T00:00:00.000Z',
      cancelAtPeriodEnd: false,
      externalRef: 'sub_123',
    };

    it('ID-6 is written by ADMIN, one for a user, and read by its owner', async () => {
      const [user, stranger, boss] = [await run.newLearner(), await run.newLearner(), await run.admin()];
      const path = `/v1/users/${user.id}/subscription`;
      expectProblem(await user.http.get(path), 404, 'NOT_FOUND');
      expectProblem(await user.http.put(path, gold), 403, 'FORBIDDEN');
      expectProblem(await user.http.delete(path), 403, 'FORBIDDEN');

      const put = await boss.put(path, gold);
      expect(put.status).toBe(200);
      expect(put.body).toEqual({
        id: expect.any(String),
        ...gold,
        createdAt: expect.any(String),
        updatedAt: expect.any(String),
        version: 1,
      });
      expect((await user.http.get(path)).body).toEqual(put.body);
      expect((await user.http.get('/v1/users/me')).body.subscription).toEqual(put.body);
      expectProblem(await stranger.http.get(path), 404, 'NOT_FOUND');

      const { externalRef: _, ...silver } = { ...gold, plan: 'silver', cancelAtPeriodEnd: true };
      const again = await boss.put(path, silver, { headers: { 'if-match': put.headers.get('etag')! } });
      expect(again.body).toMatchObject({ ...silver, id: put.body.id, externalRef: null });
      expectProblem(await boss.put(path, gold, { headers: { 'if-match': put.headers.get('etag')! } }), 412, 'VERSION_MISMATCH');
      expectProblem(await boss.put(path, { ...gold, currentPeriodEnd: gold.currentPeriodStart }), 422, 'VALIDATION_FAILED');
      expect((await user.http.get(path)).body).toEqual(again.body);

      expect((await boss.delete(path)).status).toBe(204);
      const deleted = { headers: { 'if-match': again.headers.get('etag')! } };
      expectProblem(await boss.put(path, gold, deleted), 412, 'VERSION_MISMATCH');
      expectProblem(await user.http.get(path), 404, 'NOT_FOUND');
      expectProblem(await boss.delete(path), 404, 'NOT_FOUND');
      expectProblem(await boss.put(`/v1/users/${randomUUID()}/subscription`, gold), 404, 'NOT_FOUND');
    });

    it('and the profile move the version and updatedAt of their user', async () => {
      const [user, boss] = [await run.newLearner(), await run.admin()];
      const versions: number[] = [(await user.http.get('/v1/users/me')).body.version];
      const profile = `/v1/users/${user.id}/profile`;
      const subscription = `/v1/users/${user.id}/subscription`;
      for (const change of [
        () => user.http.put(profile, ada),
        () => user.http.patch(profile, { firstName: 'Augusta' }),
        () => user.http.delete(profile),
        () => boss.put(subscription, gold),
        () => boss.delete(subscription),
      ]) {
        const etag = (await user.http.get('/v1/users/me')).headers.get('etag')!;
        await change();
        const answer = await user.http.get('/v1/users/me', { headers: { 'if-none-match': etag } });
        expect(answer.status).toBe(200);
        versions.push(answer.body.version);
      }
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    });
  });

  describe('ADMIN', () => {
    it('lists users newest first, by role and by address; others may not', async () => {
      const boss = await run.admin();
      const [user, teacher] = [await run.newLearner(), await run.newUser('TEACHER')];
      for (const http of [user.http, teacher.http]) expectProblem(await http.get('/v1/users'), 403, 'FORBIDDEN');

      const { body } = await boss.get('/v1/users?limit=2');
      expect(body.items.map(({ id }: { id: string }) => id)).toEqual([teacher.id, user.id]);
      expect(body.items[0]).toEqual((await teacher.http.get('/v1/users/me')).body);
      const teachers = await boss.get('/v1/users?role=TEACHER');
      expect(teachers.body.items.every(({ role }: { role: string }) => role === 'TEACHER')).toBe(true);
      expect(teachers.body.items.map(({ id }: { id: string }) => id)).toContain(teacher.id);
      const byEmail = await boss.get(`/v1/users?email=${encodeURIComponent(user.email.toUpperCase())}`);
      expect(byEmail.body).toEqual({ items: [expect.objectContaining({ id: user.id })], nextCursor: null });
      expect((await boss.get(`/v1/users?email=${newEmail()}`)).body.items).toEqual([]);
      expectProblem(await boss.get('/v1/users?role=KING'), 422, 'VALIDATION_FAILED');
    });

    it('walks through all users by cursors, each once, although others register meanwhile', async () => {
      const boss = await run.admin();
      const expected = (await allPages<{ id: string }>(boss, '/v1/users', 200)).map(({ id }) => id);
      const seen: string[] = [];
      for (let cursor = ''; ;) {
        const { body } = await boss.get(`/v1/users?limit=7${cursor}`);
        seen.push(...body.items.map(({ id }: { id: string }) => id));
        if (!body.nextCursor) break;
        cursor = `&cursor=${body.nextCursor}`;
        await run.http.post('/v1/users', { email: newEmail(), password: newPassword() });
      }
      expect(seen).toEqual(expected);
    });

    it('reads, changes and deletes a user', async () => {
      const [boss, user] = [await run.admin(), await run.newLearner()];
      const email = newEmail();
      expect((await boss.get(`/v1/users/${user.id}`)).body.email).toBe(user.email);
      expect((await boss.patch(`/v1/users/${user.id}`, { email })).body.email).toBe(email);
      expect((await user.http.get('/v1/users/me')).body.email).toBe(email);
      expect((await boss.delete(`/v1/users/${user.id}`, { headers: { 'if-match': '"1"' } })).status).toBe(412);
      expect((await boss.delete(`/v1/users/${user.id}`)).status).toBe(204);
      expectProblem(await boss.get(`/v1/users/${user.id}`), 404, 'NOT_FOUND');
      expectProblem(await user.http.get('/v1/users/me'), 401, 'SESSION_REVOKED');
    });

    it('gives roles; that user logs in again with the new one', async () => {
      const [boss, user] = [await run.admin(), await run.newLearner()];
      expectProblem(await user.http.put(`/v1/users/${user.id}/role`, { role: 'ADMIN' }), 403, 'FORBIDDEN');
      for (const role of ['TEACHER', 'OPS', 'DPO', 'ADMIN', 'STUDENT']) {
        const token = await logIn(run.http, user.email, user.password);
        expect((await boss.put(`/v1/users/${user.id}/role`, { role })).body).toMatchObject({ id: user.id, role });
        expectProblem(await run.http.get('/v1/users/me', { token }), 401, 'SESSION_REVOKED');
        const session = await run.http.post('/v1/sessions', { email: user.email, password: user.password });
        expect(session.body.role).toBe(role);
      }
      expectProblem(await boss.put(`/v1/users/${user.id}/role`, { role: 'KING' }), 422, 'VALIDATION_FAILED');
    });

    it('is never gone: the last one can be neither deleted nor given another role', async () => {
      const boss = await run.admin();
      const { id } = (await boss.get('/v1/users/me')).body;
      expectProblem(await boss.put(`/v1/users/${id}/role`, { role: 'STUDENT' }), 409, 'LAST_ADMIN');
      expectProblem(await boss.delete(`/v1/users/${id}`), 409, 'LAST_ADMIN');
      expect((await boss.get('/v1/users?role=ADMIN')).body.items).toHaveLength(1);
    });

    it('is never gone either when the last two step down, or demote each other, at the same moment', async () => {
      const demote = { role: 'STUDENT' };
      for (const attack of [
        (boss: TestLearner, other: TestLearner) => [
          boss.http.put(`/v1/users/${other.id}/role`, demote),
          other.http.put(`/v1/users/${boss.id}/role`, demote),
        ],
        (boss: TestLearner, other: TestLearner) => [
          boss.http.put(`/v1/users/${boss.id}/role`, demote),
          other.http.delete(`/v1/users/${other.id}`),
        ],
      ]) {
        const boss = await firstAdmin(run);
        const other = await run.newUser('ADMIN');
        const answers = await Promise.all(attack(boss, other));
        expect(answers.filter(({ status }) => status < 300)).toHaveLength(1);
        // The loser learns of it as LAST_ADMIN, or of its ended session if it came that late.
        const loser = answers.find(({ status }) => status >= 300)!;
        expect(['LAST_ADMIN', 'SESSION_REVOKED', 'UNAUTHENTICATED']).toContain(loser.body.code);
        await keepFirstAdminOnly(run, boss, other);
      }
    });
  });

  it('ID-3 the password is kept as argon2id only, and the hash is in no answer, no log line and no cached value', async () => {
    const [boss, user] = [await run.admin(), await run.newLearner()];
    await user.http.put(`/v1/users/${user.id}/profile`, ada);
    const [kept] = await sql<{ hash: string }>(run.databaseUrl, 'select password_hash as hash from users where id = $1', [
      user.id,
    ]);
    expect(kept!.hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);

    const chat = await user.http.post('/v1/chats', { title: 'About me' });
    const answers = [
      await user.http.get('/v1/users/me'),
      await user.http.get(`/v1/users/${user.id}`),
      await user.http.get(`/v1/users/${user.id}/profile`),
      await user.http.get('/v1/sessions'),
      await user.http.get(`/v1/chats/${chat.body.id}/export`),
      await boss.get(`/v1/users/${user.id}`),
      await boss.get('/v1/users?limit=200'),
      await run.http.post('/v1/users', { email: user.email, password: user.password }),
      await user.http.put(`/v1/users/${user.id}/password`, { currentPassword: user.password, newPassword: newPassword() }),
    ];
    const seen = [run.api.log, ...answers.map(({ text, headers }) => text + JSON.stringify([...headers]))];
    if (run.settings['REDIS_URL']) {
      seen.push(
        ...(await withRedis(run.settings['REDIS_URL'], async (redis) => {
          const keys = [`session:${sessionIdOf(user.token)}`, `cache:{u:${user.id}}:user`, `cache:{u:${user.id}}:profile`];
          const values = await Promise.all(keys.map((key) => redis.get(key)));
          expect(values.every(Boolean)).toBe(true);
          return values as string[];
        })),
      );
    }
    for (const text of seen) {
      for (const secret of ['argon2', 'passwordHash', 'password_hash', kept!.hash, user.password])
        expect(text).not.toContain(secret);
    }
  });
});

/** The ADMIN whom the settings name, with a session. */
async function firstAdmin(run: RunningApi): Promise<TestLearner> {
  const http = await run.admin();
  const { id } = (await http.get('/v1/users/me')).body;
  return { ...admin, id, token: '', http };
}

/** Checks that one of two ADMINs is left, and makes it the first one again. */
async function keepFirstAdminOnly(run: RunningApi, boss: TestLearner, other: TestLearner): Promise<void> {
  const admins = await sql<{ id: string }>(run.databaseUrl, `select id from users where role = 'ADMIN'`);
  expect(admins).toHaveLength(1);
  if (admins[0]!.id === boss.id) return;
  const http = run.http.as(await logIn(run.http, other.email, other.password));
  await http.put(`/v1/users/${boss.id}/role`, { role: 'ADMIN' });
  await http.put(`/v1/users/${other.id}/role`, { role: 'STUDENT' });
}

describeEachServed('identity, by two processes', (way) => {
  const run = new RunningApi(way);
  let second: ApiProcess;
  beforeAll(async () => {
    second = await run.api.restart();
  });
  afterAll(() => second?.stop());
  const redisUrl = () => run.settings['REDIS_URL']!;
  const keyOf = (token: string) => `session:${sessionIdOf(token)}`;
  /** A process believes a session for half a second without asking anybody. */
  const untilAskedAgain = () => sleep(600);

  it('RED-4 a login on one counts on the other, a logout on one counts on the other within a second', async () => {
    const user = await run.newLearner();
    const there = new HttpClient(second.url, user.token);
    expect((await there.get('/v1/users/me')).body.id).toBe(user.id);
    await user.http.delete('/v1/sessions/current');
    const answer = await until(async () => {
      const attempt = await there.get('/v1/users/me');
      return attempt.status === 401 && attempt;
    }, 1000);
    expectProblem(answer, 401, 'SESSION_REVOKED');
  });

  it('RED-4 the key of a session that ends stays marked, so that nothing revives it', async () => {
    const user = await run.newLearner();
    await user.http.get('/v1/users/me');
    await user.http.delete('/v1/sessions');
    await withRedis(redisUrl(), async (redis) => {
      await redis.del(keyOf(user.token)); // as a failover that forgets would do
    });
    for (const url of [run.api.url, second.url]) {
      expectProblem(await new HttpClient(url, user.token).get('/v1/users/me'), 401, 'SESSION_REVOKED');
    }
  });

  it('RED-8 the value is what the schema says; a deleted or corrupted one is refilled from PostgreSQL and audited', async () => {
    const user = await run.newLearner();
    await user.http.get('/v1/users/me');
    const key = keyOf(user.token);
    await withRedis(redisUrl(), async (redis) => {
      const value = (await redis.get(key))!;
      expect(JSON.parse(value)).toEqual({
        userId: user.id,
        role: 'STUDENT',
        issuedAt: expect.any(String),
        expiresAt: expect.any(String),
        secretHash: expect.stringMatching(/^[\w+/]{43}=$/),
        ipHash: expect.any(String),
        userAgentHash: expect.any(String),
        authLevel: 1,
        epoch: 1,
      });
      expect(value).not.toContain('127.0.0.1');

      for (const spoil of [
        () => redis.del(key),
        () => redis.set(key, 'not json', { KEEPTTL: true }),
        () => redis.set(key, JSON.stringify({ ...JSON.parse(value), role: 'KING' }), { KEEPTTL: true }),
        () => redis.set(key, '{}', { KEEPTTL: true }),
      ]) {
        await spoil();
        await untilAskedAgain();
        expect((await user.http.get('/v1/users/me')).status).toBe(200);
        expect(await redis.get(key)).toBe(value);
      }
    });
    const audited = await sql(
      run.databaseUrl,
      `select 1 from audit_events where action = 'session.corrupted' and learner_id = $1`,
      [user.id],
    );
    expect(audited).toHaveLength(3);
  });

  it('RED-9 the key lives 24 h from login, however much it is used', async () => {
    const user = await run.newLearner();
    const key = keyOf(user.token);
    await withRedis(redisUrl(), async (redis) => {
      await user.http.get('/v1/users/me');
      const first = await redis.ttl(key);
      expect(first).toBeGreaterThan(86_390);
      expect(first).toBeLessThanOrEqual(86_400);
      const later = await until(async () => {
        expect((await user.http.get('/v1/users/me')).status).toBe(200);
        const ttl = await redis.ttl(key);
        return ttl <= first - 2 && ttl;
      });
      expect(later).toBeGreaterThan(86_380);
      await redis.del(key); // a refill gets what is left, not a new day
      await untilAskedAgain();
      await user.http.get('/v1/users/me');
      const refilled = await redis.ttl(key);
      expect(refilled).toBeGreaterThan(86_370);
      expect(refilled).toBeLessThan(first);
    });
  });

  it('of two ADMINs who demote each other one is told LAST_ADMIN, although both were let in', async () => {
    const boss = await firstAdmin(run);
    const other = await run.newUser('ADMIN');
    const otherThere = new HttpClient(second.url, other.token);
    const answers = await withClient(run.databaseUrl, async (client) => {
      await client.query(`begin; select from users where role = 'ADMIN' for update`);
      const sent = [
        boss.http.put(`/v1/users/${other.id}/role`, { role: 'STUDENT' }),
        otherThere.put(`/v1/users/${boss.id}/role`, { role: 'STUDENT' }),
      ];
      await until(async () => {
        await client.query('select pg_stat_clear_snapshot()'); // else a transaction sees the backends of its first look
        const waiting = await client.query(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return waiting.rowCount === 2;
      });
      await client.query('commit');
      return Promise.all(sent);
    });
    expect(statuses(answers)).toEqual([200, 409]);
    expectProblem(
      answers.find(({ status }) => status === 409)!,
      409,
      'LAST_ADMIN',
    );
    await keepFirstAdminOnly(run, boss, other);
  });
});
