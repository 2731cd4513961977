import { randomUUID } from 'node:crypto';
import { waysToRun } from '../support/api-process';
import type { TestLearner } from '../support/http';
import { allPages, expectProblem, RunningApi } from './support';

describe.each(waysToRun)('what a learner shares with a teacher, $name', (way) => {
  const run = new RunningApi(way);
  let ada: TestLearner;
  let teacher: TestLearner;
  let things: Record<'progress' | 'study/items' | 'documents' | 'chats', { id: string }>;
  const SCOPES = { progress: 'progress', 'study/items': 'study', documents: 'documents', chats: 'chats' } as const;

  beforeAll(async () => {
    ada = await run.newLearner();
    const add = async (path: string, body: unknown) => (await ada.http.post(`/v1/${path}`, body)).body;
    things = {
      progress: await add('progress', { category: 'algebra', score: 50 }),
      'study/items': await add('study/items', { type: 'flashcard', content: { front: 'a', back: 'b' } }),
      documents: await add('documents', { type: 'text', content: 'Grass is green.', embedding: Array(1536).fill(1) }),
      chats: await add('chats', { title: 'A chat', messages: [{ role: 'user', content: 'Hello' }] }),
    };
    const preferences = { timeZone: 'Pacific/Auckland' };
    await ada.http.put(`/v1/users/${ada.id}/profile`, { firstName: 'Ada', lastName: 'Lovelace', preferences });
  });
  beforeEach(async () => {
    teacher = await run.newUser('TEACHER');
  });

  const give = (scopes: string[], teacherId = teacher.id) => ada.http.post(`/v1/users/${ada.id}/grants`, { teacherId, scopes });
  const names = Object.keys(SCOPES) as (keyof typeof SCOPES)[];

  it.each(names)('SEC-1 is read by the scope it is granted by, and nothing else is: %s', async (granted) => {
    expect((await give([SCOPES[granted]])).status).toBe(201);
    for (const name of names) {
      const own = [await ada.http.get(`/v1/${name}`), await ada.http.get(`/v1/${name}/${things[name].id}`)];
      const at = `/v1/learners/${ada.id}/${name}`;
      const read = [await teacher.http.get(at), await teacher.http.get(`${at}/${things[name].id}`)];
      if (name === granted) expect(read.map(({ status, body }) => [status, body])).toEqual(own.map(({ body }) => [200, body]));
      else for (const answer of read) expectProblem(answer, 404, 'NOT_FOUND');
    }
  });

  it('is reckoned by the learner’s own days, as the learner sees it', async () => {
    await give(['study', 'progress']);
    for (const view of [
      'study/due',
      'study/stats',
      'study/forecast',
      'progress?bucket=day',
      `study/items/${things['study/items'].id}/reviews`,
    ]) {
      const [own, read] = [await ada.http.get(`/v1/${view}`), await teacher.http.get(`/v1/learners/${ada.id}/${view}`)];
      expect({ view, status: read.status, body: read.body }).toEqual({ view, status: 200, body: own.body });
    }
    expect((await teacher.http.get(`/v1/learners/${ada.id}/study/stats`)).body.timeZone).toBe('Pacific/Auckland');
  });

  it('of a chat is read branch by branch', async () => {
    await give(['chats']);
    const { id } = (
      await ada.http.post('/v1/chats', { title: 'x', messages: ['a', 'b'].map((content) => ({ role: 'user', content })) })
    ).body;
    await ada.http.post(`/v1/chats/${id}/messages`, { role: 'user', content: 'c', parentId: null });
    const { items } = (await ada.http.get(`/v1/chats/${id}/leaves`)).body;
    for (const leaf of items) {
      const read = await teacher.http.get(`/v1/learners/${ada.id}/chats/${id}?leaf=${leaf.id}`);
      expect(read.body).toEqual((await ada.http.get(`/v1/chats/${id}?leaf=${leaf.id}`)).body);
      expect(read.body.messages).toHaveLength(leaf.messages);
    }
    expect(items).toHaveLength(2);
    const unknown = await teacher.http.get(`/v1/learners/${ada.id}/chats/${id}?leaf=${randomUUID()}`);
    expectProblem(unknown, 422, 'VALIDATION_FAILED');
  });

  it('is gone for the teacher as soon as it is withdrawn', async () => {
    const grant = await give(['chats']);
    const read = () => teacher.http.get(`/v1/learners/${ada.id}/chats/${things.chats.id}`);
    expect((await read()).status).toBe(200);
    const path = `/v1/users/${ada.id}/grants/${grant.body.id}`;
    expect((await ada.http.delete(path)).status).toBe(204);
    expectProblem(await read(), 404, 'NOT_FOUND');
    expect((await teacher.http.get('/v1/learners')).body.items).toEqual([]);
    expectProblem(await ada.http.delete(path), 404, 'NOT_FOUND');
  });

  it('is listed for both', async () => {
    const ben = await run.newLearner();
    const given = await give(['chats', 'study', 'chats']);
    await ben.http.post(`/v1/users/${ben.id}/grants`, { teacherId: teacher.id, scopes: ['progress'] });
    expect(given.body).toMatchObject({ teacherId: teacher.id, scopes: ['chats', 'study'] });
    expect(await allPages(ada.http, `/v1/users/${ada.id}/grants`, 1)).toContainEqual(given.body);
    expect(await allPages(teacher.http, '/v1/learners', 1)).toEqual([
      { userId: ben.id, scopes: ['progress'], createdAt: expect.any(String) },
      { userId: ada.id, scopes: ['chats', 'study'], createdAt: given.body.createdAt },
    ]);
  });

  it('is granted once to a TEACHER, and to nobody else', async () => {
    const body = { id: randomUUID(), teacherId: teacher.id, scopes: ['study'] };
    const post = (changes: object) => ada.http.post(`/v1/users/${ada.id}/grants`, { ...body, ...changes });
    expect([(await post({})).status, (await post({})).status]).toEqual([201, 200]);
    const another = { id: randomUUID(), teacherId: (await run.newUser('TEACHER')).id };
    const together = await Promise.all(Array.from({ length: 5 }, () => post(another)));
    expect(together.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 201]);
    expectProblem(await post({ scopes: ['chats'] }), 409, 'ID_TAKEN');
    expectProblem(await post({ id: undefined }), 409, 'GRANT_EXISTS');
    const student = await run.newLearner();
    for (const teacherId of [student.id, randomUUID(), ada.id]) {
      expectProblem(await post({ id: undefined, teacherId }), 422, 'NOT_A_TEACHER');
    }
  });

  it('ends with the teacher’s role, and with the teacher', async () => {
    await give(['chats']);
    const boss = await run.admin();
    await boss.put(`/v1/users/${teacher.id}/role`, { role: 'STUDENT' });
    const again = await run.http.post('/v1/sessions', { email: teacher.email, password: teacher.password });
    const path = `/v1/learners/${ada.id}/chats`;
    expectProblem(await run.http.get(path, { token: again.body.token }), 404, 'NOT_FOUND');
    await boss.delete(`/v1/users/${teacher.id}`);
    const left: { teacherId: string }[] = await allPages(ada.http, `/v1/users/${ada.id}/grants`, 50);
    expect(left.map(({ teacherId }) => teacherId)).not.toContain(teacher.id);
  });
});
