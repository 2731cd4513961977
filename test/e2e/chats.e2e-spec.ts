import { randomUUID } from 'node:crypto';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import type { Answer, HttpClient, TestLearner } from '../support/http';
import { allPages, expectProblem, RunningApi, statuses, until } from './support';

interface Message {
  seq: number;
  id: string;
  parentId: string | null;
  content: string;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const seqs = (answer: Answer) => answer.body.messages.map(({ seq }: Message) => seq);
const turn = (content: string, role = 'user') => ({ role, content });

async function newChat(http: HttpClient, body: object = {}): Promise<{ id: string; path: string; etag: string; body: any }> {
  const answer = await http.post('/v1/chats', { title: 'Photosynthesis', ...body });
  expect(answer.status).toBe(201);
  return { id: answer.body.id, path: `/v1/chats/${answer.body.id}`, etag: answer.headers.get('etag')!, body: answer.body };
}

describe.each(waysToRun)('chats, $name', (way) => {
  const run = new RunningApi(way);
  let ada: TestLearner;
  beforeAll(async () => {
    ada = await run.newLearner();
  });

  it('start empty or with messages, and are read back as they were answered', async () => {
    const empty = await newChat(ada.http);
    expect(empty.body).toEqual({
      id: expect.any(String),
      title: 'Photosynthesis',
      messageCount: 0,
      archivedAt: null,
      pinnedAt: null,
      messages: [],
      nextAfter: null,
      createdAt: expect.any(String),
      updatedAt: empty.body.createdAt,
      version: 1,
    });

    const messages = [
      turn('Be brief.', 'system'),
      turn('Why is grass green? 🌱'),
      { ...turn('Chlorophyll.', 'assistant'), metadata: { model: 'm', n: [1, null] } },
    ];
    const full = await newChat(ada.http, { messages });
    expect(full.body.messages).toEqual(
      messages.map((message, index) => ({
        metadata: {},
        ...message,
        seq: index + 1,
        id: expect.any(String),
        parentId: index === 0 ? null : full.body.messages[index - 1].id,
        createdAt: expect.any(String),
      })),
    );
    const read = await ada.http.get(full.path);
    expect(read.body).toEqual(full.body);
    expect(read.headers.get('etag')).toBe(full.etag);
  });

  it('with the same id are once, also when asked for at the same moment', async () => {
    const body = { id: randomUUID(), title: 'Once', messages: [{ ...turn('Hello'), metadata: { a: 1 } }] };
    const first = await ada.http.post('/v1/chats', body);
    const again = await ada.http.post('/v1/chats', body);
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body).toEqual(first.body);
    for (const other of [
      { title: 'Twice' },
      { messages: [turn('Bye')] },
      { messages: [{ ...turn('Hello'), metadata: { a: 2 } }] },
      { messages: [...body.messages, turn('More')] },
    ]) {
      expectProblem(await ada.http.post('/v1/chats', { ...body, ...other }), 409, 'ID_TAKEN');
    }
    expect((await ada.http.get(`/v1/chats/${body.id}`)).body).toEqual(first.body);

    const together = { id: randomUUID(), title: 'Together' };
    expect(statuses(await Promise.all([1, 2, 3].map(() => ada.http.post('/v1/chats', together))))).toEqual([200, 200, 201]);
  });

  it('of two learners may have the same id, and stay apart', async () => {
    const grace = await run.newLearner();
    const id = randomUUID();
    await newChat(ada.http, { id, title: 'of Ada' });
    await newChat(grace.http, { id, title: 'of Grace' });
    expect((await ada.http.get(`/v1/chats/${id}`)).body.title).toBe('of Ada');
    expect((await grace.http.get(`/v1/chats/${id}`)).body.title).toBe('of Grace');
  });

  it('AI-3 of 50 messages appended at once none is lost and the sequence is 1 to 50', async () => {
    const chat = await newChat(ada.http);
    const answers = await Promise.all(range(1, 50).map((nr) => ada.http.post(`${chat.path}/messages`, turn(`message ${nr}`))));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(answers.map(({ body }) => body.seq).sort((a, b) => a - b)).toEqual(range(1, 50));

    const read = await ada.http.get(chat.path);
    expect(seqs(read)).toEqual(range(1, 50));
    expect(read.body.messageCount).toBe(50);
    const contentBySeq = new Map(read.body.messages.map(({ seq, content }: Message) => [seq, content]));
    for (const [index, { body }] of answers.entries()) expect(contentBySeq.get(body.seq)).toBe(`message ${index + 1}`);

    const [seed] = await sql<{ messages: Message[] }>(run.databaseUrl, 'select messages from ai_chats_seed where id = $1', [
      chat.id,
    ]);
    expect(seed!.messages.map(({ seq, content }) => [seq, content])).toEqual([...contentBySeq].map(([seq]) => [seq, null])); // sealed
  });

  it('AI-5 have an updatedAt and a version that each append moves, and a createdAt that stays', async () => {
    const chat = await newChat(ada.http);
    const seen = [chat.body];
    for (const nr of range(1, 3)) {
      const appended = await ada.http.post(`${chat.path}/messages`, turn(`${nr}`));
      expect(appended.body).toEqual({ id: expect.any(String), seq: nr });
      const read = await ada.http.get(chat.path, { headers: { 'if-none-match': `"${seen.at(-1).version}"` } });
      expect(read.status).toBe(200);
      seen.push(read.body);
    }
    expect(seen.map(({ version }) => version)).toEqual([1, 2, 3, 4]);
    expect(seen.map(({ updatedAt }) => updatedAt)).toEqual([...new Set(seen.map(({ updatedAt }) => updatedAt))].sort());
    expect(new Set(seen.map(({ createdAt }) => createdAt)).size).toBe(1);
    await expect(
      sql(run.databaseUrl, `update chats set created_at = created_at - interval '1 day' where id = $1`, [chat.id]),
    ).rejects.toMatchObject({ code: '23000' });
    await sql(run.databaseUrl, `update chats set title = title where id = $1`, [chat.id]);
    const [raw] = await sql<{ version: number; newer: boolean }>(
      run.databaseUrl,
      `select version, updated_at > $2 as newer from chats where id = $1`,
      [chat.id, seen.at(-1).updatedAt],
    );
    expect(raw).toEqual({ version: 5, newer: true });
  });

  it('are read in pages, from any message on', async () => {
    const chat = await newChat(ada.http, { messages: range(1, 7).map((nr) => turn(`${nr}`)) });
    const page = (query: string) => ada.http.get(`${chat.path}?${query}`);
    const pages = [await page('limit=3'), await page('limit=3&after=3'), await page('limit=3&after=6')];
    expect(pages.map(seqs)).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
    expect(pages.map(({ body }) => body.nextAfter)).toEqual([3, 6, null]);
    expect(pages[1]!.body.messages[0].parentId).toBe(pages[0]!.body.messages[2].id);
    expect((await page('limit=7')).body.nextAfter).toBeNull();
    const beyond = await page('after=100');
    expect([seqs(beyond), beyond.body.nextAfter]).toEqual([[], null]);
    for (const query of ['limit=0', 'limit=201', 'after=-1', 'after=x', 'limit=1.5']) {
      expectProblem(await page(query), 422, 'VALIDATION_FAILED');
    }
  });

  it('let a message answer the one before it, or any other of the same chat', async () => {
    const chat = await newChat(ada.http, { messages: [turn('question'), turn('answer', 'assistant')] });
    const other = await newChat(ada.http, { messages: [turn('elsewhere')] });
    const [question, answer] = chat.body.messages as Message[];
    const append = (parentId?: string) => ada.http.post(`${chat.path}/messages`, { ...turn('next'), parentId });
    expect((await append()).status).toBe(201);
    expect((await append(question!.id)).status).toBe(201);
    for (const unknown of [randomUUID(), other.body.messages[0].id]) {
      const refused = await append(unknown);
      expectProblem(refused, 422, 'VALIDATION_FAILED');
      expect(refused.body.errors).toEqual([expect.objectContaining({ path: 'parentId' })]);
    }
    const { messages } = (await ada.http.get(chat.path)).body;
    expect(messages.map(({ parentId }: Message) => parentId)).toEqual([null, question!.id, answer!.id, question!.id]);
  });

  it('AI-3 branch: a question is edited, an answer regenerated, and each branch is read by its leaf', async () => {
    const chat = await newChat(ada.http, {
      messages: [turn('Be brief.', 'system'), turn('Why is grass green?'), turn('Chlorophyll.', 'assistant')],
    });
    const [system, question, answer] = chat.body.messages as [Message, Message, Message];
    const append = async (message: object): Promise<string> => {
      const appended = await ada.http.post(`${chat.path}/messages`, message);
      expect(appended.status).toBe(201);
      return appended.body.id;
    };
    const edited = await append({ ...turn('Why are some leaves red?'), parentId: system.id });
    const editedAnswer = await append(turn('Anthocyanin.', 'assistant'));
    const regenerated = await append({ ...turn('It reflects green light.', 'assistant'), parentId: question.id });
    const anew = await append({ ...turn('Start again.'), parentId: null });

    const branch = async (leaf: string, query = '') => (await ada.http.get(`${chat.path}?leaf=${leaf}${query}`)).body;
    const idsOf = ({ messages }: { messages: Message[] }) => messages.map(({ id }) => id);
    expect(idsOf(await branch(answer.id))).toEqual([system.id, question.id, answer.id]);
    expect(idsOf(await branch(editedAnswer))).toEqual([system.id, edited, editedAnswer]);
    expect(idsOf(await branch(regenerated))).toEqual([system.id, question.id, regenerated]);
    expect(idsOf(await branch(anew))).toEqual([anew]);
    expect(idsOf(await branch(question.id))).toEqual([system.id, question.id]); // any message may be the last one
    expect(await branch(anew)).toMatchObject({ messageCount: 7, nextAfter: null, messages: [{ parentId: null, seq: 7 }] });

    const whole = (await ada.http.get(chat.path)).body;
    expect(seqs({ body: whole } as Answer)).toEqual(range(1, 7));
    expect((await branch(editedAnswer)).messages).toEqual([1, 4, 5].map((seq) => whole.messages[seq - 1]));
    const pages = [await branch(regenerated, '&limit=2'), await branch(regenerated, '&limit=2&after=2')];
    expect(pages.map((page) => [idsOf(page), page.nextAfter])).toEqual([
      [[system.id, question.id], 2],
      [[regenerated], null],
    ]);
    expect(await branch(regenerated, '&after=6')).toMatchObject({ messages: [], nextAfter: null });
    expect((await branch(regenerated, '&limit=3')).nextAfter).toBeNull();

    const leaves = await ada.http.get(`${chat.path}/leaves`);
    const leaf = (id: string, seq: number, messages: number) => ({ id, seq, messages, createdAt: expect.any(String) });
    expect(leaves.body).toEqual({
      items: [leaf(anew, 7, 1), leaf(regenerated, 6, 3), leaf(editedAnswer, 5, 3), leaf(answer.id, 3, 3)],
    });
  });

  it('tell of a branch what was appended to it, at once', async () => {
    const chat = await newChat(ada.http, { messages: [turn('question')] });
    let leaf: string = chat.body.messages[0].id;
    for (const nr of range(2, 5)) {
      const appended = await ada.http.post(`${chat.path}/messages`, turn(`${nr}`));
      const headers = { 'x-read-token': appended.headers.get('x-read-token')! };
      expect(seqs(await ada.http.get(`${chat.path}?leaf=${leaf}`, { headers }))).toEqual(range(1, nr - 1));
      leaf = appended.body.id;
      expect(seqs(await ada.http.get(`${chat.path}?leaf=${leaf}`, { headers }))).toEqual(range(1, nr));
    }
    await ada.http.patch(chat.path, { title: 'Another' });
    expect((await ada.http.get(`${chat.path}?leaf=${leaf}`)).body).toMatchObject({ title: 'Another', version: 6 });
  });

  it('have no branch that ends with a message of another chat', async () => {
    const [chat, other] = [await newChat(ada.http), await newChat(ada.http, { messages: [turn('elsewhere')] })];
    for (const leaf of [randomUUID(), other.body.messages[0].id]) {
      for (const path of [`${chat.path}?leaf=${leaf}`, `${chat.path}/export?leaf=${leaf}`]) {
        const refused = await ada.http.get(path);
        expectProblem(refused, 422, 'VALIDATION_FAILED');
        expect(refused.body.errors).toEqual([expect.objectContaining({ path: 'leaf', code: 'unknown_leaf' })]);
      }
      expectProblem(await ada.http.get(`/v1/chats/${randomUUID()}?leaf=${leaf}`), 404, 'NOT_FOUND');
      expectProblem(await ada.http.get(`/v1/chats/${randomUUID()}/export?leaf=${leaf}`), 404, 'NOT_FOUND');
    }
    expect((await ada.http.get(`${chat.path}/leaves`)).body).toEqual({ items: [] });
    expectProblem(await ada.http.get(`/v1/chats/${randomUUID()}/leaves`), 404, 'NOT_FOUND');
  });

  it('are archived and pinned, and listed accordingly', async () => {
    const grace = await run.newLearner();
    const [plain, archived, pinned] = [await newChat(grace.http), await newChat(grace.http), await newChat(grace.http)];
    const put = await grace.http.patch(archived.path, { archived: true }, { headers: { 'if-match': archived.etag } });
    expect(put.body).toEqual({ ...archived.body, archivedAt: expect.any(String), updatedAt: expect.any(String), version: 2 });
    const both = await grace.http.patch(pinned.path, { pinned: true, title: 'Pinned' });
    expect(both.body).toMatchObject({ title: 'Pinned', archivedAt: null, pinnedAt: expect.any(String) });
    expect((await grace.http.get(pinned.path)).body).toEqual(both.body);
    expect((await grace.http.patch(pinned.path, { pinned: true })).body.pinnedAt).toBe(both.body.pinnedAt);

    const listed = async (query: string) =>
      (await allPages<{ id: string }>(grace.http, `/v1/chats${query}`, 2)).map(({ id }) => id);
    const [one, two, three] = [plain.id, archived.id, pinned.id];
    expect(await listed('')).toEqual([three, one]);
    expect(await listed('?archived=false')).toEqual([three, one]);
    expect(await listed('?archived=true')).toEqual([two]);
    expect(await listed('?archived=any')).toEqual([three, two, one]);
    expect(await listed('?pinned=true')).toEqual([three]);
    expect(await listed('?pinned=false&archived=any')).toEqual([two, one]);
    expect(await listed('?pinned=any&archived=true&title=photosynthesis')).toEqual([two]);

    expect((await grace.http.post(`${archived.path}/messages`, turn('still open'))).status).toBe(201);
    const back = await grace.http.patch(archived.path, { archived: false, pinned: false });
    expect(back.body).toMatchObject({ archivedAt: null, pinnedAt: null });
    expect(await listed('')).toEqual([three, two, one]);
  });

  it('are renamed, if they are still what the caller has read', async () => {
    const chat = await newChat(ada.http, { messages: [turn('Hello')] });
    const renamed = await ada.http.patch(chat.path, { title: '  Chlorophyll ' }, { headers: { 'if-match': chat.etag } });
    expect(renamed.status).toBe(200);
    expect(renamed.body).toEqual({ ...chat.body, title: 'Chlorophyll', version: 2, updatedAt: expect.any(String) });
    expect(renamed.headers.get('etag')).toBe(`"2@${chat.body.createdAt}"`);

    expectProblem(
      await ada.http.patch(chat.path, { title: 'Lost' }, { headers: { 'if-match': chat.etag } }),
      412,
      'VERSION_MISMATCH',
    );
    expectProblem(await ada.http.delete(chat.path, { headers: { 'if-match': chat.etag } }), 412, 'VERSION_MISMATCH');
    expect((await ada.http.get(chat.path)).body).toEqual(renamed.body);
    const unchanged = await ada.http.get(chat.path, { headers: { 'if-none-match': `W/"7", ${renamed.headers.get('etag')}` } });
    expect([unchanged.status, unchanged.text]).toEqual([304, '']);
    const either = { headers: { 'if-match': `"7", ${renamed.headers.get('etag')}` } };
    expect((await ada.http.patch(chat.path, { title: 'Leaf' }, either)).status).toBe(200);
    expectProblem(await ada.http.patch(chat.path, { title: 'Lost' }, either), 412, 'VERSION_MISMATCH');
    expect((await ada.http.patch(chat.path, { title: 'Leaves' }, { headers: { 'if-match': '*' } })).status).toBe(200);
  });

  it('of two renames that have read the same version one is refused', async () => {
    const chat = await newChat(ada.http);
    const answers = await Promise.all(
      ['one', 'two', 'three'].map((title) => ada.http.patch(chat.path, { title }, { headers: { 'if-match': chat.etag } })),
    );
    expect(statuses(answers)).toEqual([200, 412, 412]);
    const winner = answers.find(({ status }) => status === 200)!;
    expect((await ada.http.get(chat.path)).body.title).toBe(winner.body.title);
  });

  it('are deleted with their messages', async () => {
    const chat = await newChat(ada.http, { messages: [turn('Hello')] });
    expect((await ada.http.delete(chat.path)).status).toBe(204);
    expectProblem(await ada.http.get(chat.path), 404, 'NOT_FOUND');
    expectProblem(await ada.http.delete(chat.path), 404, 'NOT_FOUND');
    expect(await sql(run.databaseUrl, 'select 1 from chat_messages where chat_id = $1', [chat.id])).toEqual([]);
    expect((await allPages<{ id: string }>(ada.http, '/v1/chats', 200)).map(({ id }) => id)).not.toContain(chat.id);
  });

  it('are exported with all of their messages', async () => {
    const chat = await newChat(ada.http, { messages: range(1, 200).map((nr) => turn(`${nr}`)) });
    for (const nr of range(201, 205)) await ada.http.post(`${chat.path}/messages`, turn(`${nr}`));
    const exported = await ada.http.get(`${chat.path}/export`);
    expect(exported.status).toBe(200);
    expect(seqs(exported)).toEqual(range(1, 205));
    expect(exported.body.nextAfter).toBeNull();
    expect(exported.body.messages.slice(0, 50)).toEqual((await ada.http.get(chat.path)).body.messages);
  });

  it('end a page where it is large enough, and are not exported at once where they are too large for it', async () => {
    const large = (character: string) => turn(character.repeat(256 * 1024));
    const chat = await newChat(ada.http, { messages: [large('a'), large('b'), large('c')] });
    for (const nr of range(4, 40)) await ada.http.post(`${chat.path}/messages`, large(String(nr % 10)));
    const shown = async (query: string) => {
      const page = await ada.http.get(`${chat.path}?limit=200${query}`);
      expect(page.text.length).toBeLessThan(9 * 1024 * 1024);
      return { seqs: seqs(page), next: page.body.nextAfter as number | null };
    };
    const leaf = (await ada.http.get(`${chat.path}?after=39`)).body.messages[0].id;
    for (const branch of ['', `&leaf=${leaf}`]) {
      const [first, rest] = [await shown(branch), await shown(`${branch}&after=32`)];
      expect(first).toEqual({ seqs: range(1, 32), next: 32 });
      expect(rest).toEqual({ seqs: range(33, 40), next: null });
    }
    expect(seqs(await ada.http.get(`${chat.path}/export`))).toEqual(range(1, 40));
    for (const nr of range(41, 70)) await ada.http.post(`${chat.path}/messages`, large(String(nr % 10)));
    for (const query of ['', '?format=markdown']) {
      expectProblem(await ada.http.get(`${chat.path}/export${query}`), 422, 'CHAT_TOO_LONG');
    }
  });

  it('are exported as Markdown, whatever they hold; both ways also one branch alone', async () => {
    const title = 'Leaves: `why`\n# green';
    const messages = [turn('# Why?\n```\nnot closed'), turn('Chlorophyll.', 'assistant')];
    const chat = await newChat(ada.http, { title, messages });
    const [question, answer] = chat.body.messages as [Message, Message];
    await ada.http.post(`${chat.path}/messages`, { ...turn('It is green.', 'assistant'), parentId: question.id });

    const exported = await ada.http.get(`${chat.path}/export?format=markdown`);
    expect([exported.status, exported.headers.get('content-type')]).toEqual([200, 'text/markdown; charset=utf-8']);
    expect(exported.headers.get('content-disposition')).toBe(`attachment; filename="chat-${chat.id}.md"`);
    expect(exported.text.split('\n').filter((line) => line !== '' && !line.startsWith('> '))).toEqual([
      '# Leaves: \\`why\\` \\# green',
      `Begun ${chat.body.createdAt}, 3 messages.`,
      expect.stringMatching(/^## 1\. user, /),
      expect.stringMatching(/^## 2\. assistant, /),
      expect.stringMatching(/^## 3\. assistant, .*, answers 1$/),
    ]);
    expect(exported.text).toContain('\n\n> # Why?\n> ```\n> not closed\n\n');
    const etag = exported.headers.get('etag')!;
    expect(etag).toBe((await ada.http.get(chat.path)).headers.get('etag'));
    const unchanged = await ada.http.get(`${chat.path}/export?format=markdown`, { headers: { 'if-none-match': etag } });
    expect([unchanged.status, unchanged.text]).toEqual([304, '']);

    const branch = await ada.http.get(`${chat.path}/export?format=markdown&leaf=${answer.id}`);
    expect(branch.text.match(/^## .*/gm)).toHaveLength(2);
    expect(seqs(await ada.http.get(`${chat.path}/export?leaf=${answer.id}`))).toEqual([1, 2]);
    expect(seqs(await ada.http.get(`${chat.path}/export?format=json`))).toEqual([1, 2, 3]);
    expectProblem(await ada.http.get(`${chat.path}/export?format=pdf`), 422, 'VALIDATION_FAILED');
  });

  it('AI-2 DB-5 are found by a misspelt title, which has 1 to 200 characters', async () => {
    const grace = await run.newLearner();
    for (const title of ['Photosynthesis in the desert', 'The French Revolution', 'Prime numbers'])
      await newChat(grace.http, { title });
    const found = async (title: string) =>
      (await allPages<{ title: string }>(grace.http, `/v1/chats?title=${encodeURIComponent(title)}`, 10)).map(
        (chat) => chat.title,
      );
    expect(await found('fotosynthesis')).toEqual(['Photosynthesis in the desert']);
    expect(await found('photosyntesis')).toEqual(['Photosynthesis in the desert']);
    expect(await found('REVOLUTON')).toEqual(['The French Revolution']);
    expect(await found('quantum')).toEqual([]);
    await newChat(ada.http, { title: 'Photosynthesis of somebody else' });
    expect(await found('photosynthesis')).toEqual(['Photosynthesis in the desert']);

    expect((await grace.http.post('/v1/chats', { title: '字'.repeat(200) })).status).toBe(201);
    for (const title of ['', '   ', 'x'.repeat(201)]) {
      expectProblem(await grace.http.post('/v1/chats', { title }), 422, 'VALIDATION_FAILED');
    }
  });

  it('are listed newest first by cursors that stay right while chats come and go', async () => {
    const grace = await run.newLearner();
    const chats = [];
    for (const nr of range(1, 9)) chats.push(await newChat(grace.http, { title: `chat ${nr}`, messages: [turn('Hello')] }));
    const expected = chats.map(({ body: { messages: _, nextAfter: __, ...summary } }) => summary).reverse();
    expect(await allPages(grace.http, '/v1/chats', 200)).toEqual(expected);

    const first = (await grace.http.get('/v1/chats?limit=3')).body;
    await newChat(grace.http, { title: 'newer' });
    await grace.http.delete(chats[6]!.path); // the last one of the page that is read already
    const second = (await grace.http.get(`/v1/chats?limit=3&cursor=${first.nextCursor}`)).body;
    const third = (await grace.http.get(`/v1/chats?limit=3&cursor=${second.nextCursor}`)).body;
    expect([...first.items, ...second.items, ...third.items]).toEqual(expected);
    expect(third.nextCursor).toBeNull();
  });

  it('of somebody else are like chats that do not exist, on every route', async () => {
    const [grace, boss] = [await run.newLearner(), await run.admin()];
    const chat = await newChat(ada.http, { messages: [turn('private')] });
    const requests: [method: string, rest: string, body?: object][] = [
      ['GET', ''],
      ['GET', '?after=0&limit=1'],
      ['GET', `?leaf=${chat.body.messages[0].id}`],
      ['GET', '/leaves'],
      ['GET', '/export'],
      ['GET', `/export?format=markdown&leaf=${chat.body.messages[0].id}`],
      ['PATCH', '', { title: 'Mine now' }],
      ['DELETE', ''],
      ['POST', '/messages', turn('intruder')],
      ['POST', '/messages', { ...turn('intruder'), parentId: chat.body.messages[0].id }],
    ];
    for (const http of [grace.http, boss]) {
      for (const [method, rest, body] of requests) {
        const foreign = await http.send(method, `${chat.path}${rest}`, body);
        const missing = await http.send(method, `/v1/chats/${randomUUID()}${rest}`, body);
        expectProblem(foreign, 404, 'NOT_FOUND');
        expect({ ...foreign.body, traceId: '' }).toEqual({ ...missing.body, traceId: '' });
      }
      expect((await allPages<{ id: string }>(http, '/v1/chats', 200)).map(({ id }) => id)).not.toContain(chat.id);
    }
    expect((await ada.http.get(chat.path)).body).toEqual(chat.body);
  });
});

describe.each(waysToRun)('searching chats, $name', (way) => {
  const run = new RunningApi(way, {}, { withWorker: true });

  it('AI-4 finds those that are nearest in meaning, or have the words, each with the message that fits', async () => {
    const [ada, grace] = [await run.newLearner(), await run.newLearner()];
    const grass = await newChat(ada.http, { title: 'One', messages: [turn('Why is the grass green?'), turn('Thank you.')] });
    const shares = await newChat(ada.http, { title: 'Two', messages: [turn('The stock market fell today.')] });
    await newChat(grace.http, { messages: [turn('Why is the grass green?')] });
    const search = (body: object) => ada.http.post('/v1/chats/search', body);
    const found = await until(async () => {
      const answer = await search({ text: 'What makes a lawn green?', k: 5 });
      return answer.body.items?.length === 2 && answer.body.items[0].message && answer;
    }, 60_000);
    expect(found.status).toBe(200);
    const { messages: _, nextAfter: __, ...summary } = grass.body;
    const [{ seq, id, role, createdAt, content: text }] = grass.body.messages;
    expect(found.body).toEqual({
      items: [
        { chat: summary, message: { id, seq, role, text, createdAt }, score: expect.any(Number) },
        expect.objectContaining({ chat: expect.objectContaining({ id: shares.id }) }),
      ],
      meta: { strategy: 'exact+text', estimatedMatches: 2, tookMs: expect.any(Number) },
    });

    await ada.http.patch(grass.path, { archived: true });
    const idsFor = async (body: object) => (await search(body)).body.items.map((item: any) => item.chat.id);
    expect(await idsFor({ text: 'grass' })).toEqual([shares.id]);
    expect(await idsFor({ text: 'grass', archived: true })).toEqual([grass.id]);
    expect(await idsFor({ text: 'grass', archived: 'any' })).toEqual([grass.id, shares.id]);
    expect(await idsFor({ vector: Array(1536).fill(1), k: 1 })).toEqual([shares.id]);
    expectProblem(await search({ k: 3 }), 422, 'VALIDATION_FAILED');
    expectProblem(await search({ vector: [1] }), 422, 'VECTOR_INVALID');
  });
});
