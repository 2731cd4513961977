import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import type { HttpClient, TestLearner } from '../support/http';
import { allPages, expectProblem, RunningApi } from './support';

describe.each(waysToRun)('service accounts, $name', (way) => {
  const run = new RunningApi(way);
  let boss: HttpClient;
  let ada: TestLearner;
  beforeAll(async () => {
    boss = await run.admin();
    ada = await run.newLearner();
  });

  const newAccount = async (scopes: string[], expiresAt?: string) => {
    const answer = await boss.post('/v1/service-accounts', { name: `tutor ${randomUUID()}`, scopes, expiresAt });
    expect(answer.status).toBe(201);
    return answer.body as { id: string; name: string; key: string; keys: { id: string }[] };
  };
  const actAs = (userId: string) => ({ headers: { 'x-act-as': userId } });
  const progress = { category: 'algebra', score: 50 };

  it('show a key of 256 bits once, and keep only its hash', async () => {
    const account = await newAccount(['progress:read']);
    expect(account.key).toMatch(/^sk_[\w-]{86}$/);
    const listed = await allPages<{ id: string }>(boss, '/v1/service-accounts', 1);
    const { key: _, ...shown } = account;
    expect(listed.find(({ id }) => id === account.id)).toEqual(shown);
    const rows = await sql<{ row: string }>(run.databaseUrl, 'select k::text as row from service_keys k');
    const secret = Buffer.from(account.key.slice(3), 'base64url').subarray(32);
    expect(rows.map(({ row }) => row).join()).not.toContain(secret.toString('hex'));
    expect(run.api.log).not.toContain(account.key);
  });

  it('do not repeat the answer with the key, whatever Idempotency-Key comes with it', async () => {
    const account = await newAccount(['progress:read']);
    const headers = { 'idempotency-key': randomUUID() };
    const path = `/v1/service-accounts/${account.id}/keys`;
    const [first, second] = [await boss.post(path, {}, { headers }), await boss.post(path, {}, { headers })];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(first.body.key).not.toBe(second.body.key);
    expect(await sql(run.databaseUrl, `select from idempotency_keys where answer::text like '%sk\\_%'`)).toEqual([]);
  });

  it('act for the learner whom they name, within their scopes, and for nobody else’s things', async () => {
    const service = run.http.as((await newAccount(['progress:read', 'progress:write'])).key);
    const made = await service.post('/v1/progress', progress, actAs(ada.id));
    expect(made.status).toBe(201);
    expect((await ada.http.get(`/v1/progress/${made.body.id}`)).body).toEqual(made.body);
    expect((await service.get('/v1/progress', actAs(ada.id.toUpperCase()))).body.items).toContainEqual(made.body);
    for (const anybody of [ada.id, randomUUID()])
      expectProblem(await service.get('/v1/chats', actAs(anybody)), 403, 'FORBIDDEN');

    const ben = await run.newLearner();
    expectProblem(await service.get(`/v1/progress/${made.body.id}`, actAs(ben.id)), 404, 'NOT_FOUND');
    expectProblem(await service.get('/v1/progress'), 422, 'VALIDATION_FAILED');
    expectProblem(await service.get('/v1/progress', actAs('x')), 422, 'VALIDATION_FAILED');
    expectProblem(await service.get('/v1/progress', actAs(randomUUID())), 404, 'NOT_FOUND');
  });

  it('write the subscription of the learner whom they act for', async () => {
    const service = run.http.as((await newAccount(['subscription:write'])).key);
    const period = { currentPeriodStart: '2026-01-01T00:00:00Z', currentPeriodEnd: '2026-02-01T00:00:00Z' };
    const put = (userId: string) =>
      service.put(`/v1/users/${userId}/subscription`, { plan: 'gold', status: 'active', ...period }, actAs(ada.id));
    expect((await put(ada.id)).status).toBe(200);
    expect((await ada.http.get('/v1/users/me')).body.subscription).toMatchObject({ plan: 'gold' });
    expectProblem(await put((await run.newLearner()).id), 404, 'NOT_FOUND');
  });

  it('are told from the learner in the audit log: who did it, and for whom', async () => {
    const account = await newAccount(['progress:write']);
    const requestId = randomUUID();
    const headers = { ...actAs(ada.id).headers, 'x-request-id': requestId };
    await run.http.as(account.key).post('/v1/progress', progress, { headers });
    const asked = `select actor_id, actor_role, on_behalf_of, learner_id, action from audit_events where request_id = $1`;
    expect(await sql(run.databaseUrl, asked, [requestId])).toEqual([
      { actor_id: account.id, actor_role: 'SERVICE', on_behalf_of: ada.id, learner_id: ada.id, action: 'progress.recorded' },
    ]);
  });

  it('keep their Idempotency-Keys apart from the learner’s own', async () => {
    const service = run.http.as((await newAccount(['progress:write'])).key);
    const headers = { 'idempotency-key': randomUUID() };
    const own = await ada.http.post('/v1/progress', progress, { headers });
    const acted = await service.post('/v1/progress', progress, { headers: { ...headers, 'x-act-as': ada.id } });
    expect([own.status, acted.status]).toEqual([201, 201]);
    expect(acted.body.id).not.toBe(own.body.id);
  });

  it('rotate their keys with an overlap, and a key that is removed is refused at once', async () => {
    const account = await newAccount(['progress:read']);
    const path = `/v1/service-accounts/${account.id}`;
    const next = await boss.post(`${path}/keys`, {});
    const ask = (key: string) => run.http.as(key).get('/v1/progress', actAs(ada.id));
    expect([(await ask(account.key)).status, (await ask(next.body.key)).status]).toEqual([200, 200]);

    expect((await boss.delete(`${path}/keys/${account.keys[0]!.id}`)).status).toBe(204);
    expectProblem(await ask(account.key), 401, 'UNAUTHENTICATED');
    expect((await ask(next.body.key)).status).toBe(200);
    expectProblem(await boss.delete(`${path}/keys/${account.keys[0]!.id}`), 404, 'NOT_FOUND');

    expect((await boss.delete(path)).status).toBe(204);
    expectProblem(await ask(next.body.key), 401, 'UNAUTHENTICATED');
    for (const answer of [await boss.delete(path), await boss.post(`${path}/keys`, {})])
      expectProblem(answer, 404, 'NOT_FOUND');
  });

  it('expire, and are not made for the past', async () => {
    const account = await newAccount(['progress:read'], new Date(Date.now() + 1500).toISOString());
    const service = run.http.as(account.key);
    expect((await service.get('/v1/progress', actAs(ada.id))).status).toBe(200);
    await sleep(1600);
    expectProblem(await service.get('/v1/progress', actAs(ada.id)), 401, 'UNAUTHENTICATED');
    const past = { name: randomUUID(), scopes: ['progress:read'], expiresAt: '2020-01-01T00:00:00Z' };
    expectProblem(await boss.post('/v1/service-accounts', past), 422, 'VALIDATION_FAILED');
  });

  it('have names of their own', async () => {
    const { name } = await newAccount(['progress:read']);
    expectProblem(await boss.post('/v1/service-accounts', { name, scopes: ['study:read'] }), 409, 'NAME_TAKEN');
  });

  it('are proven by their bits alone, and a session acts for nobody else', async () => {
    const { key } = await newAccount(['progress:read']);
    const bytes = Buffer.from(key.slice(3), 'base64url');
    for (const at of [0, 16, 32, 63]) {
      const forged = Buffer.from(bytes);
      forged[at]! ^= 1;
      const answer = await run.http.as(`sk_${forged.toString('base64url')}`).get('/v1/progress', actAs(ada.id));
      expectProblem(answer, 401, 'UNAUTHENTICATED');
    }
    expectProblem(await ada.http.get('/v1/progress', actAs((await run.newLearner()).id)), 403, 'FORBIDDEN');
    expectProblem(await boss.get('/v1/progress', actAs(ada.id)), 403, 'FORBIDDEN');
  });
});
