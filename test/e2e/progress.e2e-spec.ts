import { randomUUID } from 'node:crypto';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import type { Answer, HttpClient, TestLearner } from '../support/http';
import { allPages, expectProblem, RunningApi, statuses } from './support';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * MINUTE).toISOString();
const faultsOf = (answer: Answer) => answer.body.errors.map(({ path }: { path: string }) => path);
const at = (query: Record<string, string>) => `/v1/progress?${new URLSearchParams(query)}`;

interface Entry {
  id: string;
  path: string;
  etag: string;
  body: any;
}

async function record(http: HttpClient, body: object = {}): Promise<Entry> {
  const answer = await http.post('/v1/progress', { category: 'algebra', score: 62.5, ...body });
  expect(answer.status).toBe(201);
  return { id: answer.body.id, path: `/v1/progress/${answer.body.id}`, etag: answer.headers.get('etag')!, body: answer.body };
}

describe.each(waysToRun)('progress, $name', (way) => {
  const run = new RunningApi(way);
  let ada: TestLearner;
  beforeAll(async () => {
    ada = await run.newLearner();
  });
  const useZone = (learner: TestLearner, timeZone: string) =>
    learner.http.put(`/v1/users/${learner.id}/profile`, { firstName: 'A', lastName: 'B', preferences: { timeZone } });
  /** Entries of any time: only through the back door. */
  const insert = (learner: TestLearner, ...entries: [timestamp: string, score: number, category?: string][]) =>
    sql(
      run.databaseUrl,
      `insert into progress (user_id, "timestamp", score, category)
       select $1, * from unnest($2::timestamptz[], $3::float8[], $4::text[])`,
      [
        learner.id,
        entries.map(([timestamp]) => timestamp),
        entries.map(([, score]) => score),
        entries.map(([, , category = 'algebra']) => category),
      ],
    );

  it('ST-8 ST-9 ST-10 ST-12 is recorded, and read back as it was answered', async () => {
    const metadata = { test: 'final', parts: [1, { points: null }], 'ключ 🌱': true };
    const entry = await record(ada.http, { category: '  Algebra 🌱 ', score: 99.25, metadata });
    expect(entry.body).toEqual({
      id: expect.any(String),
      category: 'Algebra 🌱',
      score: 99.25,
      timestamp: expect.any(String),
      metadata,
      createdAt: expect.any(String),
      updatedAt: entry.body.createdAt,
      version: 1,
    });
    const read = await ada.http.get(entry.path);
    expect([read.status, read.body, read.headers.get('etag')]).toEqual([200, entry.body, entry.etag]);
    const unchanged = await ada.http.get(entry.path, { headers: { 'if-none-match': entry.etag } });
    expect([unchanged.status, unchanged.text]).toEqual([304, '']);
    expect((await record(ada.http)).body.metadata).toEqual({});
  });

  it('ST-11 is of now, or of a time within 5 minutes of it', async () => {
    const before = Date.now();
    const { timestamp } = (await record(ada.http)).body;
    expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(timestamp)).toBeLessThanOrEqual(Date.now());

    for (const minutes of [-4.9, -1, 0, 4.9]) {
      const said = inMinutes(minutes);
      expect((await record(ada.http, { timestamp: said })).body.timestamp).toBe(said);
    }
    const elsewhere = new Date(Date.now() + 2 * 60 * MINUTE).toISOString().replace('Z', '+02:00');
    expect(Math.abs(Date.parse((await record(ada.http, { timestamp: elsewhere })).body.timestamp) - Date.now())).toBeLessThan(
      5000,
    );
    for (const timestamp of [inMinutes(-5.1), inMinutes(5.5), '0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z']) {
      const refused = await ada.http.post('/v1/progress', { category: 'algebra', score: 1, timestamp });
      expectProblem(refused, 422, 'CLOCK_SKEW');
      expect(faultsOf(refused)).toEqual(['timestamp']);
    }
  });

  it('ST-9 ST-10 ST-12 is refused with values that it cannot have', async () => {
    const recorded = () => sql(run.databaseUrl, 'select count(*)::int from progress where user_id = $1', [ada.id]);
    const entry = await record(ada.http);
    const before = await recorded();
    const wrong: [field: string, values: unknown[]][] = [
      ['score', [-0.001, 100.001, 1e308, '50', null, true, [50], {}, 'NaN']],
      ['category', ['', '   ', 'x'.repeat(65), 7, null, [], 'a\0b', 'a\ud800b']],
      ['metadata', [null, [], 'text', 7, { a: '\0' }]],
    ];
    for (const [field, values] of wrong) {
      for (const value of values) {
        for (const answer of [
          await ada.http.post('/v1/progress', { category: 'algebra', score: 1, [field]: value }),
          await ada.http.patch(entry.path, { [field]: value }),
        ]) {
          expectProblem(answer, 422, 'VALIDATION_FAILED');
          expect(faultsOf(answer)[0]).toMatch(new RegExp(`^${field}(\\.a)?$`));
        }
      }
    }
    for (const number of ['NaN', 'Infinity', '-Infinity', '.5', '0x10']) {
      expectProblem(await ada.http.post('/v1/progress', `{"category":"a","score":${number}}`), 400, 'MALFORMED_JSON');
    }
    expectProblem(await ada.http.post('/v1/progress', '{"category":"a","score":1e400}'), 422, 'VALIDATION_FAILED');
    for (const timestamp of [null, 7, '', 'now', '2026-02-30T00:00:00Z', '2026-01-01', '2026-01-01T00:00:00']) {
      expectProblem(await ada.http.post('/v1/progress', { category: 'a', score: 1, timestamp }), 422, 'VALIDATION_FAILED');
    }
    for (const missing of [{ category: 'a' }, { score: 1 }, {}]) {
      expectProblem(await ada.http.post('/v1/progress', missing), 422, 'VALIDATION_FAILED');
    }
    expect(await recorded()).toEqual(before);
    expect((await ada.http.get(entry.path)).body).toEqual(entry.body);
    for (const limit of [{ score: 0 }, { score: 100 }, { category: 'x'.repeat(64) }]) {
      expect((await record(ada.http, limit)).body).toMatchObject(limit);
    }
  });

  it('with the same id is once, however late and however often at once', async () => {
    const body = { id: randomUUID(), category: 'once', score: 10, timestamp: inMinutes(0), metadata: { a: [1] } };
    const first = await ada.http.post('/v1/progress', body);
    const again = await ada.http.post('/v1/progress', { ...body, id: body.id.toUpperCase() });
    expect([first.status, again.status, again.body]).toEqual([201, 200, first.body]);
    expect((await ada.http.post('/v1/progress', { ...body, timestamp: undefined })).status).toBe(200);
    for (const other of [{ score: 11 }, { category: 'twice' }, { metadata: { a: [2] } }, { timestamp: inMinutes(-1) }]) {
      expectProblem(await ada.http.post('/v1/progress', { ...body, ...other }), 409, 'ID_TAKEN');
    }

    const old = { ...body, id: randomUUID(), timestamp: new Date(Date.now() - 3 * DAY).toISOString() };
    await sql(
      run.databaseUrl,
      'insert into progress (user_id, id, category, score, "timestamp", metadata) values ($1, $2, $3, $4, $5, $6)',
      [ada.id, old.id, old.category, old.score, old.timestamp, JSON.stringify(old.metadata)],
    );
    expect((await ada.http.post('/v1/progress', old)).status).toBe(200); // its answer was lost for three days
    const together = { id: randomUUID(), category: 'together', score: 1 };
    const answers = await Promise.all([1, 2, 3].map(() => ada.http.post('/v1/progress', together)));
    expect(statuses(answers)).toEqual([200, 200, 201]);

    const key = { headers: { 'idempotency-key': randomUUID() } };
    const [one, two] = [1, 2].map(() => ada.http.post('/v1/progress', { category: 'key', score: 1 }, key));
    expect((await one!).body).toEqual((await two!).body);
  });

  it('is corrected, if it is still what the caller has read; its time stays', async () => {
    const entry = await record(ada.http, { metadata: { a: 1, b: 2 } });
    const ifMatch = { headers: { 'if-match': entry.etag } };
    const changed = await ada.http.patch(
      entry.path,
      { score: 70, metadata: { c: 3 }, timestamp: inMinutes(1), createdAt: inMinutes(1) },
      ifMatch,
    );
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({
      ...entry.body,
      score: 70,
      metadata: { c: 3 },
      version: 2,
      updatedAt: expect.any(String),
    });
    expect(changed.body.updatedAt > entry.body.updatedAt).toBe(true);
    expectProblem(await ada.http.patch(entry.path, { score: 1 }, ifMatch), 412, 'VERSION_MISMATCH');
    expectProblem(await ada.http.delete(entry.path, ifMatch), 412, 'VERSION_MISMATCH');
    expectProblem(await ada.http.patch(entry.path, { timestamp: inMinutes(0) }), 422, 'VALIDATION_FAILED');
    expectProblem(await ada.http.patch(entry.path, {}), 422, 'VALIDATION_FAILED');
    expect((await ada.http.get(entry.path)).body).toEqual(changed.body);
    expect((await ada.http.patch(entry.path, { category: ' geometry ' })).body.category).toBe('geometry');
  });

  it('is deleted', async () => {
    const entry = await record(ada.http);
    expect((await ada.http.delete(entry.path, { headers: { 'if-match': entry.etag } })).status).toBe(204);
    expectProblem(await ada.http.get(entry.path), 404, 'NOT_FOUND');
    expectProblem(await ada.http.patch(entry.path, { score: 1 }), 404, 'NOT_FOUND');
    expectProblem(await ada.http.delete(entry.path), 404, 'NOT_FOUND');
  });

  it("ST-8 is the learner's own: for everybody else it is not there", async () => {
    const [eve, boss] = [(await run.newLearner()).http, await run.admin()];
    const entry = await record(ada.http, { category: 'secret' });
    for (const other of [eve, boss]) {
      expectProblem(await other.get(entry.path), 404, 'NOT_FOUND');
      expectProblem(await other.patch(entry.path, { score: 0 }), 404, 'NOT_FOUND');
      expectProblem(await other.delete(entry.path), 404, 'NOT_FOUND');
      expect((await other.get('/v1/progress')).body.items).toEqual([]);
      expect((await other.get(at({ bucket: 'day' }))).body.series).toEqual([]);
    }
    expect((await ada.http.get(entry.path)).body).toEqual(entry.body);
    const same = await record(eve, { id: entry.id, score: 1 });
    expect([same.body.score, (await ada.http.get(entry.path)).body.score]).toEqual([1, entry.body.score]);
    for (const path of ['/v1/progress', entry.path]) expectProblem(await run.http.get(path), 401, 'UNAUTHENTICATED');
    expectProblem(await run.http.post('/v1/progress', { category: 'a', score: 1 }), 401, 'UNAUTHENTICATED');
    for (const id of ['x', '7', `${entry.id}0`])
      expectProblem(await ada.http.get(`/v1/progress/${id}`), 422, 'VALIDATION_FAILED');
  });

  it('is listed newest first, by category and time', async () => {
    const user = await run.newLearner();
    await useZone(user, 'Asia/Kolkata');
    const ids: string[] = [];
    for (let nr = 0; nr < 7; nr++) {
      ids.unshift((await record(user.http, { category: nr % 2 ? 'odd' : 'even', score: nr })).id);
    }
    const found = async (query: Record<string, string>) =>
      (await allPages<{ id: string; score: number }>(user.http, at(query), 2)).map(({ id }) => id);
    expect(await found({})).toEqual(ids);
    expect(await found({ category: 'odd' })).toEqual([1, 3, 5].map((index) => ids[index]));
    expect(await found({ category: 'none' })).toEqual([]);

    await insert(user, ['2026-03-14T18:29:59.999Z', 1], ['2026-03-14T18:30:00Z', 2], ['2026-03-15T18:29:59.999Z', 3]);
    await insert(user, ['2026-03-15T18:30:00Z', 4]);
    const scores = async (query: Record<string, string>) =>
      (await user.http.get(at(query))).body.items.map(({ score }: { score: number }) => score).sort();
    expect(await scores({ from: '2026-03-15', to: '2026-03-16' })).toEqual([2, 3]); // from midnight to midnight there
    expect(await scores({ from: '2026-03-15T00:00:00+05:30', to: '2026-03-15T18:30:00.001Z' })).toEqual([2, 3, 4]);
    expect(await scores({ to: '2026-03-15' })).toEqual([1]);
    expect(await scores({ from: '2026-03-15', to: '2026-03-15' })).toEqual([]);
    expect(await scores({ from: '2026-03-15T18:30:00Z', to: '2026-03-17', category: 'algebra' })).toEqual([4]);
  });

  it('OV-5 becomes a series by hour, day and week in the zone of the learner', async () => {
    const user = await run.newLearner();
    await useZone(user, 'Europe/Berlin');
    await insert(
      user,
      ['2026-03-28T22:59:59.999Z', 10], // Saturday, one millisecond before midnight
      ['2026-03-28T23:00:00Z', 20], // Sunday, of 23 hours
      ['2026-03-29T00:59:59.999Z', 30],
      ['2026-03-29T01:00:00Z', 90], // 03:00: 02:00 is not there
      ['2026-03-29T21:59:59.999Z', 50, 'geometry'],
      ['2026-03-29T22:00:00Z', 60], // Monday
    );
    const series = async (bucket: string, more: Record<string, string> = {}) => {
      const answer = await user.http.get(at({ bucket, from: '2026-03-23', to: '2026-04-06', ...more }));
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({ bucket, timeZone: 'Europe/Berlin', series: expect.any(Array) });
      return answer.body.series;
    };
    const [sunday, monday] = ['2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'];
    expect(await series('day')).toEqual([
      { start: '2026-03-27T23:00:00.000Z', end: sunday, count: 1, mean: 10, min: 10, max: 10 },
      { start: sunday, end: monday, count: 4, mean: 47.5, min: 20, max: 90 },
      { start: monday, end: '2026-03-30T22:00:00.000Z', count: 1, mean: 60, min: 60, max: 60 },
    ]);
    expect(await series('week')).toEqual([
      { start: '2026-03-22T23:00:00.000Z', end: monday, count: 5, mean: 40, min: 10, max: 90 },
      { start: monday, end: '2026-04-05T22:00:00.000Z', count: 1, mean: 60, min: 60, max: 60 },
    ]);
    expect((await series('hour')).map(({ start, count }: { start: string; count: number }) => [start, count])).toEqual([
      ['2026-03-28T22:00:00.000Z', 1],
      ['2026-03-28T23:00:00.000Z', 1],
      ['2026-03-29T00:00:00.000Z', 1],
      ['2026-03-29T01:00:00.000Z', 1],
      ['2026-03-29T21:00:00.000Z', 1],
      ['2026-03-29T22:00:00.000Z', 1],
    ]);
    expect(await series('week', { category: 'geometry' })).toMatchObject([{ count: 1, mean: 50 }]);
    // A period that cuts a bucket counts what is in the period.
    const cut = { from: '2026-03-28T23:00:00.001Z', to: '2026-03-29T21:59:59.999Z' };
    expect(await series('day', cut)).toEqual([{ start: sunday, end: monday, count: 2, mean: 60, min: 30, max: 90 }]);

    await useZone(user, 'UTC');
    const moved = await user.http.get(at({ bucket: 'day', from: '2026-03-23', to: '2026-04-06' }));
    expect(moved.body).toMatchObject({ timeZone: 'UTC', series: [{ count: 2 }, { count: 4 }] });
  });

  it('a series is of the last days up to now, if nothing is said', async () => {
    const user = await run.newLearner();
    const ago = (days: number) => new Date(Date.now() - days * DAY).toISOString();
    await insert(user, [ago(6.9), 1], [ago(7.1), 2], [ago(29.9), 3], [ago(30.1), 4], [ago(181.9), 5], [ago(182.1), 6]);
    await record(user.http, { score: 50, timestamp: inMinutes(4) }); // whose clock is ahead
    const count = async (query: Record<string, string>) => {
      const { series } = (await user.http.get(at(query))).body;
      return series.reduce((sum: number, { count }: { count: number }) => sum + count, 0);
    };
    expect([await count({ bucket: 'hour' }), await count({ bucket: 'day' }), await count({ bucket: 'week' })]).toEqual([
      2, 4, 6,
    ]);
    expect(await count({ bucket: 'hour', to: ago(7) })).toBe(1);
    expect(await count({ bucket: 'week', from: ago(365) })).toBe(7);
  });

  it('a series of too many buckets, or of a time that ends before it begins, is refused', async () => {
    const tooLarge: Record<string, string>[] = [
      { bucket: 'hour', from: '2026-01-01', to: '2026-03-26' }, // 84 days of 24 hours are 2,016
      { bucket: 'day', from: '2020-01-01', to: '2026-01-01' },
      { bucket: 'week', from: '0001-01-01', to: '9999-12-31' },
      { bucket: 'hour', from: '0000-01-01T00:00:00Z' },
      { bucket: 'day', to: '9999-12-31', from: '2026-01-01' },
    ];
    for (const query of tooLarge) expectProblem(await ada.http.get(at(query)), 422, 'RANGE_TOO_LARGE');
    const just = { bucket: 'hour', from: '2026-01-01T00:00:00Z', to: '2026-03-25T08:00:00Z' }; // 2,000 hours
    expect((await ada.http.get(at(just))).status).toBe(200);
    expectProblem(await ada.http.get(at({ ...just, to: '2026-03-25T08:00:00.001Z' })), 422, 'RANGE_TOO_LARGE');
    for (const extreme of ['0000-01-01', '0001-01-01T00:00:00Z', '9999-12-31', '9999-12-31T23:59:59.999Z']) {
      for (const bucket of ['hour', 'day', 'week']) {
        expect([200, 422]).toContain((await ada.http.get(at({ bucket, from: extreme, to: extreme }))).status);
      }
      expect([(await ada.http.get(at({ from: extreme }))).status, (await ada.http.get(at({ to: extreme }))).status]).toEqual([
        200, 200,
      ]);
    }

    for (const query of [{}, { bucket: 'day' }] as Record<string, string>[]) {
      const backwards = await ada.http.get(at({ ...query, from: '2026-01-02', to: '2026-01-01' }));
      expectProblem(backwards, 422, 'VALIDATION_FAILED');
      expect(faultsOf(backwards)).toEqual(['from']);
    }
    expectProblem(await ada.http.get(at({ bucket: 'day', from: '2999-01-01' })), 422, 'VALIDATION_FAILED');
  });

  it('is not listed by what is no filter', async () => {
    for (const query of [
      { bucket: 'month' },
      { bucket: '' },
      { from: 'yesterday' },
      { from: '' },
      { from: '2026-02-30' },
      { from: '2026-01-01T00:00:00' },
      { to: 'NaN' },
      { to: '2026-13-01T00:00:00Z' },
      { to: '+275760-09-13T00:00:00.001Z' },
      { category: '' },
      { category: 'x'.repeat(65) },
      { category: 'a\0b' },
      { limit: '0' },
      { cursor: 'x' },
    ] as Record<string, string>[]) {
      expectProblem(await ada.http.get(at(query)), 422, 'VALIDATION_FAILED');
    }
  });
});
