import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import type { Answer, HttpClient, TestLearner } from '../support/http';
import { allPages, expectProblem, RunningApi, statuses, until } from './support';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const ITEMS = '/v1/study/items';
const card = { type: 'flashcard', content: { front: 'Grass', back: 'Gras' } };
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

interface Item {
  id: string;
  path: string;
  etag: string;
  /** As it was answered. */
  text: string;
  body: any;
}

async function newItem(http: HttpClient, body: object = {}): Promise<Item> {
  const answer = await http.post(ITEMS, { ...card, ...body });
  expect([answer.status, answer.text]).toEqual([201, expect.any(String)]);
  const { id } = answer.body;
  return { id, path: `${ITEMS}/${id}`, etag: answer.headers.get('etag')!, text: answer.text, body: answer.body };
}
const review = (http: HttpClient, { path }: Item, body: object = {}): Promise<Answer> =>
  http.post(`${path}/reviews`, { clientReviewId: randomUUID(), rating: 3, ...body });
const reading = (answer: Answer) => ({ headers: { 'x-read-token': answer.headers.get('x-read-token')! } });
const bulk = (http: HttpClient, body: string | Buffer, headers: Record<string, string> = {}) =>
  http.send('POST', `${ITEMS}/bulk`, body, { headers: { 'content-type': 'application/x-ndjson', ...headers } });
const ndjson = (...lines: (object | string)[]) =>
  lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');

describe.each(waysToRun)('studying, $name', (way) => {
  const run = new RunningApi(way);
  let ada: TestLearner;
  beforeAll(async () => {
    ada = await run.newLearner();
  });

  it('ST-1 ST-4 ST-5 ST-6 items are kept, due at once, and read back as they were answered', async () => {
    const answer = await ada.http.post(ITEMS, { ...card, tags: [' a ', 'NULL', 'a'] });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      id: expect.any(String),
      ...card,
      tags: ['a', 'NULL'],
      progress: 0,
      lastReviewed: null,
      nextReview: answer.body.createdAt,
      scheduling: { state: 'new', stability: 0, difficulty: 0, reps: 0, lapses: 0 },
      createdAt: expect.any(String),
      version: 1,
    });
    const read = await ada.http.get(`${ITEMS}/${answer.body.id}`);
    expect([read.text, read.headers.get('etag')]).toEqual([answer.text, answer.headers.get('etag')]);
    const unchanged = await ada.http.get(`${ITEMS}/${answer.body.id}`, {
      headers: { 'if-none-match': read.headers.get('etag')! },
    });
    expect([unchanged.status, unchanged.text]).toEqual([304, '']);
    const { items, dayEndsAt } = (await ada.http.get('/v1/study/due', reading(answer))).body;
    expect(items).toContainEqual(answer.body);
    expect(Date.parse(dayEndsAt) - Date.now()).toBeLessThanOrEqual(DAY_MS);
  });

  it('items with the same id are once, also when asked for at the same moment', async () => {
    const body = { ...card, id: randomUUID(), tags: ['x'], content: { ...card.content, n: [-0, 0.1, null] } };
    const together = await Promise.all([1, 2, 3].map(() => ada.http.post(ITEMS, body)));
    expect(statuses(together)).toEqual([200, 200, 201]);
    expect(new Set(together.map(({ text }) => text)).size).toBe(1);
    for (const other of [{ tags: [] }, { content: card.content }, { type: 'note', content: { markdown: 'x' } }]) {
      expectProblem(await ada.http.post(ITEMS, { ...body, ...other }), 409, 'ID_TAKEN');
    }
    const grace = await run.newLearner();
    expect((await grace.http.post(ITEMS, { ...card, id: body.id })).status).toBe(201);
    expect((await ada.http.get(`${ITEMS}/${body.id}`)).text).toBe(together[0]!.text);
  });

  it('ST-2 ST-3 items are of a type, which says what belongs into them; another row is another type', async () => {
    const refused = await ada.http.post(ITEMS, {
      type: 'quiz',
      content: { question: 'Which?', choices: ['a', 'b'], answer: 'c' },
    });
    expectProblem(refused, 422, 'VALIDATION_FAILED');
    expect(refused.body.errors).toEqual([{ path: 'content.answer', code: 'enum', message: expect.any(String) }]);
    expect((await ada.http.post(ITEMS, { type: 'note', content: { markdown: '# x' } })).status).toBe(201);

    const cloze = { type: 'cloze', content: { text: 'x' } };
    expectProblem(await ada.http.post(ITEMS, cloze), 422, 'VALIDATION_FAILED');
    await sql(
      run.databaseUrl,
      `insert into study_item_types (type, content_schema) values ('cloze', '{"required": ["text"]}'), ('broken', '{"type": 7}')`,
    );
    expect((await ada.http.post(ITEMS, cloze)).status).toBe(201);
    const broken = await ada.http.post(ITEMS, { type: 'broken', content: {} });
    expectProblem(broken, 503, 'STUDY_TYPE_BROKEN');
    expect(broken.headers.get('retry-after')).toBe('60');
    expect((await ada.http.post(ITEMS, card)).status).toBe(201);
  });

  it('items are changed, if they are still what the caller has read; how well they are known stays', async () => {
    const item = await newItem(ada.http);
    await review(ada.http, item, { rating: 4 });
    expectProblem(
      await ada.http.patch(item.path, { tags: ['x'] }, { headers: { 'if-match': item.etag } }),
      412,
      'VERSION_MISMATCH',
    );
    expectProblem(await ada.http.delete(item.path, { headers: { 'if-match': item.etag } }), 412, 'VERSION_MISMATCH');
    const known = await ada.http.get(item.path);
    const changed = await ada.http.patch(
      item.path,
      { type: 'note', content: { markdown: 'x' }, tags: ['x'] },
      { headers: { 'if-match': `"7", ${known.headers.get('etag')}` } },
    );
    expect([changed.status, changed.body]).toEqual([
      200,
      { ...known.body, type: 'note', content: { markdown: 'x' }, tags: ['x'], version: 2 },
    ]);
    expect((await ada.http.get(item.path, reading(changed))).text).toBe(changed.text);
    const etag = changed.headers.get('etag')!;
    const answers = await Promise.all(
      ['a', 'b'].map((tag) => ada.http.patch(item.path, { tags: [tag] }, { headers: { 'if-match': etag } })),
    );
    expect(statuses(answers)).toEqual([200, 412]);
    expectProblem(await ada.http.patch(item.path, {}), 422, 'VALIDATION_FAILED');
  });

  it('items are deleted with their reviews', async () => {
    const item = await newItem(ada.http);
    await review(ada.http, item);
    expect((await ada.http.delete(item.path)).status).toBe(204);
    for (const gone of [
      await ada.http.get(item.path),
      await ada.http.delete(item.path),
      await ada.http.get(`${item.path}/reviews`),
      await review(ada.http, item),
      await ada.http.post(`${item.path}/reviews/undo`, undefined),
    ]) {
      expectProblem(gone, 404, 'NOT_FOUND');
    }
    expect(await sql(run.databaseUrl, 'select 1 from study_reviews where item_id = $1', [item.id])).toEqual([]);
  });

  it('items are listed newest first, of one type or with one tag, by cursors that stay right', async () => {
    const grace = await run.newLearner();
    const made: Item[] = [];
    for (const nr of [1, 2, 3, 4, 5, 6, 7]) {
      const note = { type: 'note', content: { markdown: `${nr}` } };
      made.push(await newItem(grace.http, { ...(nr % 2 ? note : {}), tags: nr % 3 ? ['x', `${nr}`] : [`x'); --`] }));
    }
    const newest = made.map(({ body }) => body).reverse();
    const list = (query = '', limit = 2) => allPages<any>(grace.http, `${ITEMS}${query}`, limit);
    expect(await list()).toEqual(newest);
    expect(await list('?type=note')).toEqual(newest.filter(({ type }) => type === 'note'));
    expect(await list('?tag=x', 1)).toEqual(newest.filter(({ tags }) => tags.includes('x')));
    expect(await list('?type=flashcard&tag=4')).toEqual(newest.filter(({ tags }) => tags.includes('4')));
    expect(await list(`?tag=${encodeURIComponent(`x'); --`)}`)).toHaveLength(2);
    expect(await list('?type=hologram')).toEqual([]);

    const first = (await grace.http.get(`${ITEMS}?limit=3`)).body;
    await newItem(grace.http);
    await grace.http.delete(made[4]!.path); // the last one of the page that is read already
    const rest = (await grace.http.get(`${ITEMS}?limit=100&cursor=${first.nextCursor}`)).body;
    expect([...first.items, ...rest.items]).toEqual(newest);
    expect(rest.nextCursor).toBeNull();
  });

  describe('ST-7 a review', () => {
    it('schedules its item, is logged, and told again to the byte when it is sent again', async () => {
      const item = await newItem(ada.http);
      const given = { clientReviewId: 'a', rating: 4, reviewedAt: ago(DAY_MS), durationMs: 2500 };
      const first = await review(ada.http, item, given);
      expect([first.status, first.body]).toEqual([
        201,
        {
          reviewId: expect.any(String),
          scheduling: { state: 'review', stability: 8.2956, difficulty: 1, reps: 1, lapses: 0 },
          nextReview: new Date(Date.parse(given.reviewedAt) + 8 * DAY_MS).toISOString(),
        },
      ]);
      const read = await ada.http.get(item.path, reading(first));
      expect(read.body).toEqual({
        ...item.body,
        progress: expect.closeTo(8.2956 / 21, 5),
        lastReviewed: given.reviewedAt,
        nextReview: first.body.nextReview,
        scheduling: first.body.scheduling,
      });
      await review(ada.http, item, { clientReviewId: 'b' });
      const again = await Promise.all([given, { clientReviewId: 'a', rating: 4 }].map((body) => review(ada.http, item, body)));
      for (const answer of again) expect([answer.status, answer.text]).toEqual([200, first.text]);
      for (const other of [{ rating: 3 }, { durationMs: 1 }, { reviewedAt: ago(2 * DAY_MS) }]) {
        expectProblem(await review(ada.http, item, { ...given, ...other }), 409, 'ID_TAKEN');
      }
      const log = await allPages<any>(ada.http, `${item.path}/reviews`, 1);
      expect(log.map(({ clientReviewId, rating }) => [clientReviewId, rating])).toEqual([['b', 3], ['a', 4]]); // prettier-ignore
      expect(log[1]).toEqual({ ...given, id: first.body.reviewId, undoneAt: null, createdAt: expect.any(String) });
    });

    it('of twenty at the same moment counts each; the same one twenty times counts once', async () => {
      const [different, same] = [await newItem(ada.http), await newItem(ada.http)];
      const reviewedAt = ago(1000);
      const each = await Promise.all(Array.from({ length: 20 }, () => review(ada.http, different, { reviewedAt })));
      expect(new Set(each.map(({ status }) => status))).toEqual(new Set([201]));
      expect((await ada.http.get(different.path, reading(each[19]!))).body.scheduling.reps).toBe(20);
      const once = await Promise.all(
        Array.from({ length: 20 }, () => review(ada.http, same, { clientReviewId: 'x', reviewedAt })),
      );
      expect(statuses(once)).toEqual([...Array<number>(19).fill(200), 201]);
      expect(new Set(once.map(({ text }) => text)).size).toBe(1);
      expect((await ada.http.get(same.path, reading(once[0]!))).body.scheduling.reps).toBe(1);
    });

    it('that is undone leaves no trace on its item: the same bytes, the same ETag', async () => {
      const item = await newItem(ada.http);
      const seen = [{ text: item.text, etag: item.etag as string | null }];
      for (const [rating, days] of [
        [3, 9],
        [1, 20],
        [4, 2],
      ]) {
        // prettier-ignore
        const answer = await review(ada.http, item, { rating, reviewedAt: ago(days! * DAY_MS) });
        const read = await ada.http.get(item.path, reading(answer));
        seen.push({ text: read.text, etag: read.headers.get('etag') });
      }
      expect(new Set(seen.map(({ etag }) => etag)).size).toBe(4);
      seen.pop();
      while (seen.length > 0) {
        const undone = await ada.http.post(`${item.path}/reviews/undo`, undefined);
        const then = seen.pop()!;
        expect([undone.status, undone.text, undone.headers.get('etag')]).toEqual([200, then.text, then.etag]);
        const read = await ada.http.get(item.path, reading(undone));
        expect([read.text, read.headers.get('etag')]).toEqual([then.text, then.etag]);
        expect((await ada.http.get(item.path)).text).toBe(then.text);
      }
      expectProblem(await ada.http.post(`${item.path}/reviews/undo`, undefined), 409, 'NOTHING_TO_UNDO');
      const log = await allPages<any>(ada.http, `${item.path}/reviews`, 2);
      expect(log.map(({ undoneAt }) => undoneAt)).toEqual(Array(3).fill(expect.any(String)));
    });

    it('from a device that was offline finds its place', async () => {
      const [late, inOrder] = [await newItem(ada.http), await newItem(ada.http)];
      const reviews = [30, 20, 5].map((days, nr) => ({
        clientReviewId: `${nr}`,
        rating: [3, 1, 4][nr]!,
        reviewedAt: ago(days * DAY_MS),
      }));
      for (const each of reviews) await review(ada.http, inOrder, each);
      let last: Answer | undefined;
      for (const nr of [2, 0, 1]) last = await review(ada.http, late, reviews[nr]);
      const [one, other] = await Promise.all([late, inOrder].map(({ path }) => ada.http.get(path)));
      expect({ ...one!.body, id: '', createdAt: '' }).toEqual({ ...other!.body, id: '', createdAt: '' });
      expect(last!.body.scheduling).toEqual(other!.body.scheduling);
      for (const reviewedAt of ['2000-01-01T00:00:00Z', '2020-02-29T23:59:59.999+14:00']) {
        expect((await review(ada.http, late, { reviewedAt })).status).toBe(201);
      }
    });

    it('cannot lie in the future, nor before there were any', async () => {
      const item = await newItem(ada.http);
      const refused = await review(ada.http, item, { reviewedAt: ago(-6 * MINUTE_MS) });
      expectProblem(refused, 422, 'REVIEW_IN_FUTURE');
      expect(refused.body.errors).toMatchObject([{ path: 'reviewedAt' }]);
      expectProblem(await review(ada.http, item, { reviewedAt: '9999-12-31T23:59:59Z' }), 422, 'REVIEW_IN_FUTURE');
      expectProblem(await review(ada.http, item, { reviewedAt: '1999-12-31T23:59:59Z' }), 422, 'VALIDATION_FAILED');
      expect((await ada.http.get(item.path)).text).toBe(item.text);
      expect((await review(ada.http, item, { reviewedAt: ago(-4 * MINUTE_MS) })).status).toBe(201);
      expect((await review(ada.http, item)).status).toBe(201); // whose time is before that of the last one
    });
  });

  it("what is due, statistics and forecast are by the learner's own days, and see what was just done", async () => {
    const grace = await run.newLearner();
    await grace.http.put(`/v1/users/${grace.id}/profile`, {
      firstName: 'G',
      lastName: 'H',
      preferences: { timeZone: 'Asia/Tokyo', dayStartsAt: '00:00' },
    });
    const [one, two] = [await newItem(grace.http), await newItem(grace.http)];
    const answer = await review(grace.http, one, { rating: 4, durationMs: 90_000 });
    const due = (await grace.http.get('/v1/study/due?limit=1', reading(answer))).body;
    expect(due.items.map(({ id }: Item) => id)).toEqual([two.id]);
    expect(due.dayEndsAt).toMatch(/T15:00:00\.000Z$/);

    const today = new Date().toLocaleDateString('sv-SE', { timeZone: 'Asia/Tokyo' });
    const stats = (await grace.http.get(`/v1/study/stats?from=${today}&to=${today}`, reading(answer))).body;
    const none = { reviews: 0, passed: 0, rate: null };
    expect(stats).toEqual({
      ...{ from: today, to: today, timeZone: 'Asia/Tokyo', reviews: 1, minutes: 1.5, streak: 1 },
      days: [{ date: today, reviews: 1, minutes: 1.5 }],
      trueRetention: { all: none, young: none, mature: none },
      maturity: { new: 1, learning: 0, young: 1, mature: 0 },
    });
    expect((await grace.http.get('/v1/study/stats')).body.days).toHaveLength(30);
    const ahead = (await grace.http.get('/v1/study/forecast?days=9', reading(answer))).body.days;
    expect(ahead).toHaveLength(9);
    expect(ahead.map((day: { due: number; new: number }) => [day.due, day.new])).toEqual([
      [0, 1],
      ...Array(7).fill([0, 0]),
      [1, 0],
    ]);
    const undone = await grace.http.post(`${one.path}/reviews/undo`, undefined);
    expect((await grace.http.get('/v1/study/stats', reading(undone))).body).toMatchObject({ reviews: 0, streak: 0 });
    expect((await grace.http.get('/v1/study/forecast?days=9')).body.days.at(-1)).toMatchObject({ due: 0 });

    for (const query of ['from=2026-01-02&to=2026-01-01', 'from=2026-02-30', 'to=yesterday']) {
      expectProblem(await grace.http.get(`/v1/study/stats?${query}`), 422, 'VALIDATION_FAILED');
    }
    expectProblem(await grace.http.get('/v1/study/stats?from=2020-01-01'), 422, 'RANGE_TOO_LARGE');
    for (const [from, to] of [
      ['0000-01-01', '0000-01-31'],
      ['9999-12-01', '9999-12-31'],
    ]) {
      // prettier-ignore
      expect((await grace.http.get(`/v1/study/stats?from=${from}&to=${to}`)).status).toBe(200);
    }
  });

  it('a single write may be sent again with its Idempotency-Key', async () => {
    const [key, body] = [randomUUID(), card];
    const headers = { 'idempotency-key': key };
    const [first, again] = [await ada.http.post(ITEMS, body, { headers }), await ada.http.post(ITEMS, body, { headers })];
    expect([first.status, again.text, again.headers.get('idempotent-replayed')]).toEqual([201, first.text, 'true']);
    expectProblem(await ada.http.post(ITEMS, { ...body, tags: ['x'] }, { headers }), 422, 'IDEMPOTENCY_KEY_REUSED');
    const item = { ...(await newItem(ada.http)) };
    await review(ada.http, item);
    await review(ada.http, item);
    const undo = () => ada.http.post(`${item.path}/reviews/undo`, undefined, { headers: { 'idempotency-key': `${key}-undo` } });
    const [undone, replayed] = [await undo(), await undo()];
    expect([undone.status, replayed.text, replayed.headers.get('etag')]).toEqual([
      200,
      undone.text,
      undone.headers.get('etag'),
    ]);
    expect((await ada.http.get(item.path)).body.scheduling.reps).toBe(1);
  });

  describe('in bulk', () => {
    let grace: TestLearner;
    beforeEach(async () => {
      grace = await run.newLearner();
    });
    const fronts = async () =>
      (await allPages<any>(grace.http, ITEMS, 200)).map(({ content }) => content.front ?? content.question).sort();
    const front = (name: string, more: object = {}) => ({ ...card, content: { front: name, back: 'x' }, ...more });

    it('PF-5 good lines are kept, bad ones are named', async () => {
      const id = (await newItem(grace.http, front('0'))).id;
      const reviews = [{ clientReviewId: 'a', rating: 4, reviewedAt: ago(DAY_MS) }];
      const answer = await bulk(
        grace.http,
        ndjson(
          front('1', { reviews, tags: ['x'] }),
          '{"type": "flash',
          '',
          { ...card, content: { front: 'no back' } },
          { ...card, type: 'hologram' },
          front('2', { reviews: [{ ...reviews[0], reviewedAt: '2999-01-01T00:00:00Z' }] }),
          front('3', { reviews: [reviews[0], reviews[0]] }),
          front('4', { id }),
          front('5', { reviews: [{ clientReviewId: 'a', rating: 3 }] }),
          'null',
          '[]',
          '{"type":"flashcard","content":{"front":"\\u0000","back":"x"}}',
          '{"type":"flashcard","content":{"__proto__":{},"front":"a","back":"x"}}',
          front('6'),
        ),
      );
      expect([answer.status, answer.body.accepted, answer.body.rejectedCount]).toEqual([200, 2, 11]);
      expect(answer.body.rejected.map(({ line, code }: any) => [line, code])).toEqual([
        [2, 'MALFORMED_JSON'],
        [4, 'VALIDATION_FAILED'],
        [5, 'VALIDATION_FAILED'],
        [6, 'REVIEW_IN_FUTURE'],
        [7, 'VALIDATION_FAILED'],
        [8, 'ID_TAKEN'],
        ...[9, 10, 11, 12, 13].map((line) => [line, 'VALIDATION_FAILED']),
      ]);
      expect(await fronts()).toEqual(['0', '1', '6']);
      const [reviewed] = (await grace.http.get(`${ITEMS}?tag=x`, reading(answer))).body.items;
      expect(reviewed.scheduling).toMatchObject({ state: 'review', reps: 1 });
    });

    it('comes as CSV too', async () => {
      const csv = 'type,front,back,tags,question,choices,answer\n,"a, ""b""\nc",x,p;q,,,\nquiz,,,,Which?,a|b,b\n,one\n';
      const answer = await bulk(grace.http, csv, { 'content-type': 'text/csv; charset=utf-8' });
      expect(answer.body).toMatchObject({ accepted: 2, rejected: [{ line: 5, code: 'MALFORMED_CSV' }], rejectedCount: 1 });
      expect(await fronts()).toEqual(['Which?', 'a, "b"\nc']);
      expect((await grace.http.get(`${ITEMS}?tag=q`)).body.items).toHaveLength(1);
    });

    it('goes on where it stopped by its Batch-Id; an Idempotency-Key says nothing', async () => {
      const headers = { 'batch-id': 'cards', 'idempotency-key': 'same' };
      const lines = [front('1'), front('2'), { ...card, content: {} }];
      expect((await bulk(grace.http, ndjson(...lines.slice(0, 1)), headers)).body).toMatchObject({
        accepted: 1,
        rejectedCount: 0,
      });
      expect((await bulk(grace.http, ndjson(...lines), headers)).body).toMatchObject({ accepted: 2, rejected: [{ line: 3 }] });
      const mended = ndjson(...lines.slice(0, 2), front('3'));
      const together = await Promise.all([1, 2, 3].map(() => bulk(grace.http, mended, headers)));
      for (const { body } of together) expect(body).toEqual({ accepted: 3, rejected: [], rejectedCount: 0 });
      expect(await fronts()).toEqual(['1', '2', '3']);
      for (const bad of ['', 'two words', 'x'.repeat(256)]) {
        expectProblem(await bulk(grace.http, mended, { 'batch-id': bad }), 422, 'VALIDATION_FAILED');
      }
    });

    it('of a client that goes away in the middle is taken up where it stopped', async () => {
      const lines = Array.from({ length: 2500 }, (_, nr) => JSON.stringify(front(`${nr}`)));
      const headers = { 'content-type': 'application/x-ndjson', 'batch-id': 'cards', authorization: `Bearer ${grace.token}` };
      const lost = new AbortController();
      const half = new ReadableStream({
        start: (stream) => stream.enqueue(Buffer.from(`${lines.slice(0, 1700).join('\n')}\n{"type":"fla`)),
        pull: () => sleep(60_000, undefined, { ref: false }),
      });
      const request = { method: 'POST', headers, body: half, duplex: 'half', signal: lost.signal } as RequestInit;
      const sent = fetch(`${run.api.url}${ITEMS}/bulk`, request).catch(() => 'lost');
      // In one message: PGlite has one session, and the import may get in between a statement and its values.
      const counting = `select count(*)::int from study_items where user_id = '${grace.id}'`;
      const count = async () => (await sql<{ count: number }>(run.databaseUrl, counting))[0]!.count;
      await until(async () => (await count()) >= 1000).finally(() => lost.abort());
      expect(await sent).toBe('lost');
      const whole = await bulk(grace.http, lines.join('\n'), { 'batch-id': 'cards' });
      expect(whole.body).toEqual({ accepted: 2500, rejected: [], rejectedCount: 0 });
      expect(await count()).toBe(2500);
      expect(new Set(await fronts()).size).toBe(2500);
      expect((await run.http.get('/health/ready')).body.status).toBe('ok');
    }, 60_000);

    it('tells why it cannot go on, also who is still sending', async () => {
      const lines = Array.from({ length: 7000 }, (_, nr) => `${JSON.stringify(front(`${nr}`))}\n`);
      let sending!: ReadableStreamDefaultController<Buffer>;
      const body = new ReadableStream<Buffer>({ start: (stream) => void (sending = stream) });
      const send = (from: number, to?: number) => sending.enqueue(Buffer.from(lines.slice(from, to).join('')));
      const headers = { 'content-type': 'application/x-ndjson', 'batch-id': 'cards', authorization: `Bearer ${grace.token}` };
      const request = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
      const answer = fetch(`${run.api.url}${ITEMS}/bulk`, request);
      send(0, 1500);
      const counting = `select count(*)::int from study_items where user_id = '${grace.id}'`;
      await until(async () => (await sql<{ count: number }>(run.databaseUrl, counting))[0]!.count >= 1000);
      expect((await grace.http.delete(`/v1/users/${grace.id}`)).status).toBe(204);
      await until(async () => (await grace.http.get(ITEMS)).status === 401);
      send(1500); // and no end of it
      const answered = await answer;
      expect([answered.status, await answered.json()]).toMatchObject([401, { code: 'SESSION_REVOKED' }]);
      sending.close();
    }, 60_000);

    it('ends with the session of whoever sends it, though nothing more comes', async () => {
      const lines = Array.from({ length: 2500 }, (_, nr) => `${JSON.stringify(front(`${nr}`))}\n`);
      let sending!: ReadableStreamDefaultController<Buffer>;
      const body = new ReadableStream<Buffer>({ start: (stream) => void (sending = stream) });
      const send = (from: number, to?: number) => sending.enqueue(Buffer.from(lines.slice(from, to).join('')));
      const headers = { 'content-type': 'application/x-ndjson', authorization: `Bearer ${grace.token}` };
      const request = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
      const answer = fetch(`${run.api.url}${ITEMS}/bulk`, request);
      send(0, 1500);
      const counting = `select count(*)::int from study_items where user_id = '${grace.id}'`;
      const count = async () => (await sql<{ count: number }>(run.databaseUrl, counting))[0]!.count;
      await until(async () => (await count()) >= 1000);
      expect((await grace.http.delete('/v1/sessions/current')).status).toBe(204);
      await until(async () => (await grace.http.get(ITEMS)).status === 401);
      send(1500); // and no end of it
      const answered = await answer;
      expect([answered.status, await answered.json()]).toMatchObject([401, { code: 'SESSION_REVOKED' }]);
      expect(await count()).toBe(1000);
      sending.close();
    }, 60_000);

    it('refuses lines that are huge or are no text, and keeps the others', async () => {
      const huge = JSON.stringify(front('x'.repeat(9 * 1024 * 1024)));
      const long = JSON.stringify(front('x'.repeat(100_000)));
      const body = Buffer.concat([
        Buffer.from(ndjson(front('1'), huge, long, '')),
        Buffer.from([0xff, 0xfe, 0x0a]),
        Buffer.from(`${'['.repeat(100_000)}\n${ndjson(front('2'))}\r\n`),
        Buffer.from('\uFEFF{}\n{"a":'),
      ]);
      const headers = { 'content-type': 'application/x-ndjson', authorization: `Bearer ${grace.token}` };
      const response = await fetch(`${run.api.url}${ITEMS}/bulk`, { method: 'POST', headers, body });
      const answer: any = await response.json();
      expect([response.status, answer.accepted]).toEqual([200, 2]);
      expect(answer.rejected.map(({ line, code }: any) => [line, code])).toEqual([
        [2, 'LINE_TOO_LONG'],
        [3, 'VALIDATION_FAILED'],
        [4, 'MALFORMED_JSON'],
        [5, 'MALFORMED_JSON'],
        [7, expect.stringMatching(/MALFORMED_JSON|VALIDATION_FAILED/)],
        [8, 'MALFORMED_JSON'],
      ]);
      expect(await fronts()).toEqual(['1', '2']);
    });

    it('lists the first thousand of its rejections, and counts all', async () => {
      const answer = await bulk(grace.http, `${'x\n'.repeat(2500)}${ndjson(front('1'))}`);
      expect(answer.body).toMatchObject({ accepted: 1, rejectedCount: 2500 });
      expect(answer.body.rejected.map(({ line }: any) => line)).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
    });

    it('of nothing is nothing; other media types are refused', async () => {
      for (const nothing of ['', '\n\n', ' ']) {
        expect((await bulk(grace.http, nothing)).body).toEqual({ accepted: 0, rejected: [], rejectedCount: 0 });
      }
      const csv = { 'content-type': 'text/csv' };
      expect((await bulk(grace.http, '', csv)).body).toEqual({ accepted: 0, rejected: [], rejectedCount: 0 });
      expect((await grace.http.send('POST', `${ITEMS}/bulk`)).status).toBe(415);
      for (const type of [
        'application/json',
        'text/plain',
        'application/x-ndjsonx',
        'garbage',
        'multipart/form-data; boundary=x',
      ]) {
        expectProblem(await bulk(grace.http, ndjson(front('1')), { 'content-type': type }), 415, 'UNSUPPORTED_MEDIA_TYPE');
      }
      expectProblem(await grace.http.send('POST', ITEMS, ndjson(card), { headers: csv }), 415, 'UNSUPPORTED_MEDIA_TYPE');
      expect(await fronts()).toEqual([]);
    });
  });

  it('text of any kind comes back as it was', async () => {
    const hostile = [
      `'; drop table study_items; --`,
      `" or 1=1 --`,
      '$1 $2 ? ?? :id ${x}',
      '{"a":1}',
      '\\ \\n \\u0041',
      '<script>alert(1)</script>',
      '../../etc/passwd',
      'NULL',
      '{}',
      '🌱 é \u202e \u200b',
    ];
    for (const text of hostile) {
      const item = await newItem(ada.http, { content: { front: text, back: text, [text]: text }, tags: [text] });
      expect(item.body).toMatchObject({ content: { front: text, [text]: text }, tags: [text] });
      const found = await ada.http.get(`${ITEMS}?tag=${encodeURIComponent(text)}`);
      expect(found.body.items.map(({ id }: Item) => id)).toContain(item.id);
      const answer = await review(ada.http, item, { clientReviewId: text });
      expect((await review(ada.http, item, { clientReviewId: text })).text).toBe(answer.text);
      expect((await ada.http.get(`${item.path}/reviews`)).body.items).toMatchObject([{ clientReviewId: text }]);
    }
  });

  it('ST-1 items of somebody else are like items that do not exist, on every route', async () => {
    const [grace, boss] = [await run.newLearner(), await run.admin()];
    const item = await newItem(ada.http, { tags: ['private'] });
    const reviewed = await review(ada.http, item, { clientReviewId: 'mine' });
    const before = (await ada.http.get(item.path, reading(reviewed))).text;
    const requests: [method: string, rest: string, body?: object][] = [
      ['GET', ''],
      ['PATCH', '', { tags: ['mine now'] }],
      ['DELETE', ''],
      ['GET', '/reviews'],
      ['POST', '/reviews', { clientReviewId: 'mine', rating: 3 }],
      ['POST', '/reviews', { clientReviewId: 'other', rating: 1 }],
      ['POST', '/reviews/undo'],
    ];
    for (const http of [grace.http, boss]) {
      for (const [method, rest, body] of requests) {
        const foreign = await http.send(method, `${item.path}${rest}`, body);
        const missing = await http.send(method, `${ITEMS}/${randomUUID()}${rest}`, body);
        expectProblem(foreign, 404, 'NOT_FOUND');
        expect({ ...foreign.body, traceId: '' }).toEqual({ ...missing.body, traceId: '' });
      }
      expect(await allPages(http, `${ITEMS}?tag=private`, 200)).toEqual([]);
      expect((await http.get('/v1/study/due')).body.items).toEqual([]);
      expect((await http.get('/v1/study/stats')).body).toMatchObject({ reviews: 0, maturity: { new: 0, learning: 0 } });
    }
    expect((await ada.http.get(item.path)).text).toBe(before);
  });
});
