import { randomUUID } from 'node:crypto';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import type { Answer, HttpClient, TestLearner } from '../support/http';
import { RunningApi } from './support';

describe.each(waysToRun)('reads of a learner by somebody else, $name', (way) => {
  const run = new RunningApi(way);
  let boss: HttpClient;
  let bossId: string;
  let ada: TestLearner;
  beforeAll(async () => {
    boss = await run.admin();
    bossId = (await boss.get('/v1/users/me')).body.id;
    ada = await run.newLearner();
    await ada.http.put(`/v1/users/${ada.id}/profile`, { firstName: 'Ada', lastName: 'Lovelace' });
  });

  const recorded = (requestId: string) =>
    sql(
      run.databaseUrl,
      `select actor_id, actor_role, on_behalf_of, learner_id, operation from audit_events
       where request_id = $1 and action = 'learner.read' order by id`,
      [requestId],
    );
  /** Sends a read under an id of its own, and answers what was recorded of it. */
  const read = async (http: HttpClient, path: string, expected: number, more: Record<string, string> = {}) => {
    const id = randomUUID();
    const answer: Answer = await http.get(path, { headers: { 'x-request-id': id, ...more } });
    expect({ path, status: answer.status }).toEqual({ path, status: expected });
    return recorded(id);
  };
  const row = (actor: string, role: string, operation: string, learner = ada.id, behalf: string | null = null) => ({
    ...{ actor_id: actor, actor_role: role, on_behalf_of: behalf, learner_id: learner, operation },
  });

  it('SEC-13 by an ADMIN are recorded once each, also when nothing has changed since, and lists for everybody in them', async () => {
    expect(await read(boss, `/v1/users/${ada.id}`, 200)).toEqual([row(bossId, 'ADMIN', 'get')]);
    expect(await read(boss, `/v1/users/${ada.id}/profile`, 200)).toEqual([row(bossId, 'ADMIN', 'getProfile')]);
    const etag = (await boss.get(`/v1/users/${ada.id}`)).headers.get('etag')!;
    expect(await read(boss, `/v1/users/${ada.id}`, 304, { 'if-none-match': etag })).toEqual([row(bossId, 'ADMIN', 'get')]);
    const listed: { id: string }[] = (await boss.get('/v1/users?limit=2')).body.items;
    const others = listed.filter(({ id }) => id !== bossId);
    expect(await read(boss, '/v1/users?limit=2', 200)).toEqual(others.map(({ id }) => row(bossId, 'ADMIN', 'list', id)));
  });

  it('SEC-13 by a TEACHER and by a service are recorded once each, with both names', async () => {
    const teacher = await run.newUser('TEACHER');
    await ada.http.post(`/v1/users/${ada.id}/grants`, { teacherId: teacher.id, scopes: ['study', 'progress'] });
    for (const [path, operation] of [
      ['study/items', 'listLearnerItems'],
      ['study/due', 'listLearnerDue'],
      ['study/stats', 'getLearnerStats'],
      ['progress?bucket=day', 'listLearnerProgress'],
    ] as const) {
      expect(await read(teacher.http, `/v1/learners/${ada.id}/${path}`, 200)).toEqual([row(teacher.id, 'TEACHER', operation)]);
    }
    const account = await boss.post('/v1/service-accounts', {
      name: randomUUID(),
      scopes: ['progress:read', 'documents:read'],
    });
    const service = run.http.as(account.body.key);
    const actAs = { 'x-act-as': ada.id };
    const expected = (operation: string) => [row(account.body.id, 'SERVICE', operation, ada.id, ada.id)];
    expect(await read(service, '/v1/progress', 200, actAs)).toEqual(expected('listProgress'));
    const id = randomUUID();
    await service.post('/v1/documents/search', { text: 'grass', mode: 'text' }, { headers: { ...actAs, 'x-request-id': id } });
    expect(await recorded(id)).toEqual(expected('searchDocuments'));
    // What is recorded a second time is shown as it is.
    const writer = await boss.post('/v1/service-accounts', { name: randomUUID(), scopes: ['progress:write'] });
    const entry = { id: randomUUID(), category: 'algebra', score: 50 };
    const record = async (requestId: string) =>
      (await run.http.as(writer.body.key).post('/v1/progress', entry, { headers: { ...actAs, 'x-request-id': requestId } }))
        .status;
    const [first, second] = [randomUUID(), randomUUID()];
    expect([await record(first), await record(second)]).toEqual([201, 200]);
    expect(await recorded(first)).toEqual([]);
    expect(await recorded(second)).toEqual([row(writer.body.id, 'SERVICE', 'recordProgress', ada.id, ada.id)]);
  });

  it('SEC-13 are not recorded where nothing was shown, nor is what one reads of oneself', async () => {
    const teacher = await run.newUser('TEACHER');
    expect(await read(teacher.http, `/v1/learners/${ada.id}/chats`, 404)).toEqual([]);
    expect(await read(boss, `/v1/users/${randomUUID()}`, 404)).toEqual([]);
    expect(await read(boss, '/v1/users?limit=0', 422)).toEqual([]);
    expect(await read(boss, '/v1/users/me', 200)).toEqual([]);
    expect(await read(boss, `/v1/users/${bossId}`, 200)).toEqual([]);
    expect(await read(ada.http, '/v1/progress', 200)).toEqual([]);
  });

  it('SEC-13 of a hundred at once, none is lost and none is doubled', async () => {
    const ids = Array.from({ length: 100 }, () => randomUUID());
    await Promise.all(ids.map((id) => boss.get(`/v1/users/${ada.id}`, { headers: { 'x-request-id': id } })));
    const [found] = await sql<{ rows: number; requests: number }>(
      run.databaseUrl,
      `select count(*)::int as rows, count(distinct request_id)::int as requests from audit_events
       where action = 'learner.read' and request_id = any ($1)`,
      [ids],
    );
    expect(found).toEqual({ rows: 100, requests: 100 });
  });

  it('SEC-13 are not answered if they cannot be recorded', async () => {
    await sql(run.databaseUrl, `alter table audit_events add constraint planted check (action <> 'learner.read') not valid`);
    try {
      const answer = await boss.get(`/v1/users/${ada.id}`);
      expect(answer.status).toBeGreaterThanOrEqual(500);
      expect(answer.text).not.toContain(ada.email);
    } finally {
      await sql(run.databaseUrl, 'alter table audit_events drop constraint planted');
    }
    expect((await boss.get(`/v1/users/${ada.id}`)).status).toBe(200);
  });
});
