import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { admin, ApiProcess, waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient, newLearner, type Answer, type TestLearner } from '../support/http';
import { faultOfKey } from '../support/redis-keys';
import { describeServed, openServed } from '../support/served';
import { startRedis, type RedisServer } from '../support/servers';
import { expectProblem, newEmail, newPassword, RunningApi, statuses, until, withRedis } from './support';

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
const withKey = (key: string) => ({ headers: { 'idempotency-key': key } });
/** What an answer says, without what may differ when it is given again. */
const said = ({ status, text, headers }: Answer) => ({
  status,
  text,
  etag: headers.get('etag'),
  readToken: headers.get('x-read-token'),
});

describe.each(waysToRun)('HTTP, $name', (way) => {
  const run = new RunningApi(way);
  let ada: TestLearner;
  beforeAll(async () => {
    ada = await run.newLearner();
  });
  const countChats = async () => (await ada.http.get('/v1/chats?limit=200')).body.items.length;

  describe('every answer', () => {
    it('carries the X-Request-Id of the caller, if that is sane, else a new one', async () => {
      const idFor = async (given: string, path = '/v1/users/me') =>
        (await ada.http.get(path, { headers: { 'x-request-id': given } })).headers.get('x-request-id');
      expect(await idFor('trace-1:a.B_2')).toBe('trace-1:a.B_2');
      for (const path of ['/nowhere', '/health/live', '/v1/chats/x']) expect(await idFor('mine', path)).toBe('mine');
      for (const insane of ['', 'a b', 'x'.repeat(129), '<script>', 'naïve']) {
        const id = await idFor(insane);
        expect(id).toMatch(UUID);
      }
      expect((await ada.http.get('/v1/users/me')).headers.get('x-request-id')).toMatch(UUID);
    });

    it('that tells a problem is application/problem+json with a code', async () => {
      const path = `/v1/chats/${randomUUID()}`;
      expectProblem(await ada.http.get('/v1/nowhere'), 404, 'NOT_FOUND');
      expectProblem(await ada.http.send('PUT', '/v1/chats', {}), 404, 'NOT_FOUND');
      expectProblem(await ada.http.get(path), 404, 'NOT_FOUND');
      expectProblem(await ada.http.get('/v1/chats/%zz'), 400, 'BAD_REQUEST');
      expectProblem(await ada.http.post('/v1/chats', '{"title": '), 400, 'MALFORMED_JSON');
      expectProblem(await ada.http.post('/v1/chats', Buffer.from('{"title":"na\xefve"}', 'latin1')), 400, 'MALFORMED_JSON');
      expectProblem(
        await ada.http.post('/v1/chats', JSON.stringify({ title: 'x'.repeat(1024 * 1024) })),
        413,
        'BODY_TOO_LARGE',
      );
      expectProblem(
        await ada.http.send('POST', '/v1/chats', 'title=x', { headers: { 'content-type': 'text/plain' } }),
        415,
        'UNSUPPORTED_MEDIA_TYPE',
      );
      const takes = { '/v1/chats': 'application/json', '/v1/study/items/bulk': 'application/x-ndjson' };
      for (const [route, type] of Object.entries(takes)) {
        const headers = { 'content-type': type, 'content-encoding': 'gzip' };
        const answer = await ada.http.send('POST', route, gzipSync('{"title":"Zipped"}'), { headers });
        expectProblem(answer, 415, 'UNSUPPORTED_MEDIA_TYPE');
      }
      const anonymous = await run.http.get(path);
      expectProblem(anonymous, 401, 'UNAUTHENTICATED');
      expect(anonymous.headers.get('www-authenticate')).toBe('Bearer');
      const invalid = await ada.http.post('/v1/chats', { title: 7, messages: [{ role: 'king', content: 'x' }] });
      expectProblem(invalid, 422, 'VALIDATION_FAILED');
      expect(invalid.body.errors).toEqual([
        { path: 'title', code: expect.any(String), message: expect.any(String) },
        { path: 'messages.0.role', code: expect.any(String), message: expect.any(String) },
      ]);
    });
  });

  describe('a read', () => {
    it('answers 304 without a body to whoever has it already', async () => {
      const me = await ada.http.get('/v1/users/me');
      const etag = me.headers.get('etag')!;
      for (const known of [etag, `W/${etag}`, `"0", ${etag}`, '*']) {
        const answer = await ada.http.get('/v1/users/me', { headers: { 'if-none-match': known } });
        expect([answer.status, answer.text, answer.headers.get('etag')]).toEqual([304, '', etag]);
      }
      expect((await ada.http.get('/v1/users/me', { headers: { 'if-none-match': '"0"' } })).body).toEqual(me.body);
      const head = await ada.http.send('HEAD', '/v1/users/me', undefined, { headers: { 'if-none-match': etag } });
      expect([head.status, head.headers.get('cache-control')]).toEqual([304, me.headers.get('cache-control')]);
    });

    it('accepts the X-Read-Token of any write and never shows less than that', async () => {
      const chat = await ada.http.post('/v1/chats', { title: 'Tokens' });
      const path = `/v1/chats/${chat.body.id}`;
      for (let nr = 1; nr <= 5; nr++) {
        const appended = await ada.http.post(`${path}/messages`, { role: 'user', content: `${nr}` });
        const token = appended.headers.get('x-read-token')!;
        const read = await ada.http.get(path, { headers: { 'x-read-token': token } });
        expect(read.body.messageCount).toBe(nr);
      }
      for (const malformed of ['x', '1.2.3', 'MS4', Buffer.from('2.7').toString('base64url'), 'x'.repeat(300)]) {
        const answer = await ada.http.get(path, { headers: { 'x-read-token': malformed } });
        expectProblem(answer, 422, 'VALIDATION_FAILED');
        expect(answer.body.errors).toEqual([expect.objectContaining({ path: 'X-Read-Token' })]);
      }
    });
  });

  describe('an Idempotency-Key', () => {
    it('brings the first answer again, with its status and headers, and no second effect', async () => {
      const before = await countChats();
      const create = withKey(randomUUID());
      const first = await ada.http.post('/v1/chats', { title: 'Once' }, create);
      const again = await ada.http.post('/v1/chats', { title: 'Once' }, create);
      expect(first.status).toBe(201);
      expect(said(again)).toEqual(said(first));
      expect([first, again].map(({ headers }) => headers.get('idempotent-replayed'))).toEqual([null, 'true']);
      expect(await countChats()).toBe(before + 1);

      const path = `/v1/chats/${first.body.id}`;
      const [append, rename, remove] = [withKey(randomUUID()), withKey(randomUUID()), withKey(randomUUID())];
      for (const [send, status] of [
        [() => ada.http.post(`${path}/messages`, { role: 'user', content: 'Hi' }, append), 201],
        [() => ada.http.patch(path, { title: 'Renamed' }, rename), 200],
        [() => ada.http.delete(path, remove), 204],
      ] as const) {
        const [one, two] = [await send(), await send()];
        expect(one.status).toBe(status);
        expect(said(two)).toEqual(said(one));
        expect(two.headers.get('idempotent-replayed')).toBe('true');
      }
    });

    it('is for one request of one caller', async () => {
      const grace = await run.newLearner();
      const key = withKey(randomUUID());
      const chat = await ada.http.post('/v1/chats', { title: 'Mine' }, key);
      expect(chat.status).toBe(201);
      expectProblem(await ada.http.post('/v1/chats', { title: 'Other' }, key), 422, 'IDEMPOTENCY_KEY_REUSED');
      expectProblem(await ada.http.patch(`/v1/chats/${chat.body.id}`, { title: 'Mine' }, key), 422, 'IDEMPOTENCY_KEY_REUSED');
      const hers = await grace.http.post('/v1/chats', { title: 'Mine' }, key);
      expect([hers.status, hers.headers.get('idempotent-replayed')]).toEqual([201, null]);
      expect(hers.body.id).not.toBe(chat.body.id);
      for (const bad of ['', 'a b', 'x'.repeat(256)]) {
        expectProblem(await ada.http.post('/v1/chats', { title: 'x' }, withKey(bad)), 422, 'VALIDATION_FAILED');
      }
    });

    it('makes ten requests at the same moment one', async () => {
      const before = await countChats();
      const key = withKey(randomUUID());
      const answers = await Promise.all(Array.from({ length: 10 }, () => ada.http.post('/v1/chats', { title: 'Ten' }, key)));
      expect(statuses(answers)).toEqual(Array(10).fill(201));
      expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
      expect(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true')).toHaveLength(9);
      expect(await countChats()).toBe(before + 1);
    });

    it('is free again after a command that failed', async () => {
      const chat = await ada.http.post('/v1/chats', { title: 'Versions' });
      const path = `/v1/chats/${chat.body.id}`;
      const key = randomUUID();
      const rename = (version: string) =>
        ada.http.patch(path, { title: 'Renamed' }, { headers: { 'idempotency-key': key, 'if-match': version } });
      expectProblem(await rename('"99"'), 412, 'VERSION_MISMATCH');
      const second = await rename(chat.headers.get('etag')!);
      expect([second.status, second.headers.get('idempotent-replayed')]).toEqual([200, null]);
    });

    it('works for a registration, where nobody is logged in yet', async () => {
      const key = withKey(randomUUID());
      const body = { email: newEmail(), password: newPassword() };
      const answers = await Promise.all([1, 2, 3].map(() => run.http.post('/v1/users', body, key)));
      expect(statuses(answers)).toEqual([201, 201, 201]);
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
      expect(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true')).toHaveLength(2);
      expectProblem(await run.http.post('/v1/users', { ...body, password: newPassword() }, key), 422, 'IDEMPOTENCY_KEY_REUSED');
      expectProblem(await run.http.post('/v1/users', body), 409, 'EMAIL_TAKEN');
    });

    it('keeps no secret: the answer that is kept never has a token in it', async () => {
      const key = withKey(randomUUID());
      const sessions = [1, 2].map(() => run.http.post('/v1/sessions', { email: ada.email, password: ada.password }, key));
      const [first, second] = await Promise.all(sessions);
      expect([first!.status, second!.status]).toEqual([201, 201]);
      expect(first!.body.token).not.toBe(second!.body.token);
      expect(
        await sql(run.databaseUrl, `select 1 from idempotency_keys where answer like '%' || $1 || '%'`, [first!.body.token]),
      ).toEqual([]);
    });
  });

  describe('health', () => {
    it('is told to orchestrators without a login', async () => {
      for (const path of ['/health/live', '/health/startup']) {
        const answer = await run.http.get(path);
        expect([answer.status, answer.body]).toEqual([200, { status: 'ok' }]);
      }
      const ready = await run.http.get('/health/ready');
      expect([ready.status, ready.body.status]).toEqual([200, 'ok']);
      expect(ready.body.checks).toMatchObject({
        postgres: { status: 'up' },
        cache: { status: 'up' },
        sessions: { status: 'up' },
      });
    });
  });

  describe('metrics', () => {
    it('DC-7 tell each command and query by name and HTTP by route, without any id', async () => {
      const chat = await ada.http.post('/v1/chats', { title: 'Measured' });
      const path = `/v1/chats/${chat.body.id}`;
      await ada.http.post(`${path}/messages`, { role: 'user', content: 'Hi' });
      await ada.http.get(path);
      await ada.http.get(path);
      await ada.http.get(`/v1/chats/${randomUUID()}`);
      await ada.http.get(`/nowhere/${randomUUID()}`);
      const { status, text } = await run.http.get('/metrics');
      expect(status).toBe(200);
      const has = (name: string, labels: Record<string, string>) =>
        text
          .split('\n')
          .some(
            (line) =>
              line.startsWith(name) && Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`)),
          );
      const bus = (kind: string, name: string, outcome = 'ok') =>
        has('studently_bus_duration_seconds_count', { kind, name, outcome });
      const commands = ['RegisterUser', 'OpenSession', 'StartChat', 'AppendMessage'].filter((name) => !bus('command', name));
      expect(commands).toEqual([]);
      expect(bus('query', 'GetChat') && bus('query', 'GetChat', 'error')).toBe(true);
      const route = (method: string, at: string, code: string) =>
        has('studently_http_request_duration_seconds_count', { method, route: at, status: code });
      expect(route('POST', '/v1/chats/:chatId/messages', '201')).toBe(true);
      expect(route('GET', '/v1/chats/:chatId', '200') && route('GET', '/v1/chats/:chatId', '404')).toBe(true);
      expect(has('studently_cache_requests_total', { outcome: 'hit' })).toBe(true);
      expect(has('studently_pool_connections', { state: 'idle' })).toBe(true);
      expect(text).toMatch(/^studently_outbox_lag_seconds \d/m);
      expect(text).not.toMatch(UUID);
      expect(text).not.toContain('example.org');
    });
  });

  describe('logs', () => {
    it('do not call it an error that a client goes away in the middle of an upload', async () => {
      const { hostname, port } = new URL(run.http.url);
      const head = `POST /v1/study/items/bulk HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ada.token}\r\n`;
      const socket = connect(Number(port), hostname);
      socket.write(`${head}content-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n{}\n`);
      await sleep(500);
      socket.resetAndDestroy();
      await sleep(500);
      expect(run.api.log).not.toContain('Unexpected error');
    });

    it('MC-11 have one JSON line for each request, and none with LOG_ACCESS=false', async () => {
      const accessLines = (log: string, requestId: string) => log.split('\n').filter((line) => line.includes(requestId));
      const requestId = randomUUID();
      await ada.http.post(
        '/v1/chats?title=secret-query',
        { title: 'secret-title' },
        { headers: { 'x-request-id': requestId } },
      );
      const [line, ...more] = await until(async () => {
        const lines = accessLines(run.api.log, requestId);
        return lines.length > 0 && lines;
      });
      expect(more).toEqual([]);
      expect(JSON.parse(line!)).toMatchObject({
        requestId,
        method: 'POST',
        route: '/v1/chats',
        status: 201,
        milliseconds: expect.any(Number),
        actor: ada.id,
        role: 'STUDENT',
      });
      for (const secret of ['secret-query', 'secret-title', ada.token, ada.email]) expect(run.api.log).not.toContain(secret);
      const place = await way.open();
      const quiet = await ApiProcess.start({ ...place.settings, LOG_ACCESS: 'false' });
      try {
        const silentId = randomUUID();
        await new HttpClient(quiet.url).get('/v1/nowhere', { headers: { 'x-request-id': silentId } });
        await new HttpClient(quiet.url).get('/health/ready');
        await quiet.stop();
        expect(accessLines(quiet.log, silentId)).toEqual([]);
        expect(quiet.log).not.toContain('"route"');
      } finally {
        await quiet.stop();
        await place.close();
      }
    });
  });
});

describe.each(waysToRun)('SIGTERM, $name', (way) => {
  it('DC-6 readiness says 503 first, what is sent meanwhile is answered, and the process ends with 0', async () => {
    const place = await way.open();
    const api = await ApiProcess.start({ ...place.settings, DRAIN_SECONDS: '1' });
    try {
      const ada = await newLearner(new HttpClient(api.url));
      const { id } = (await ada.http.post('/v1/chats', { title: 'Under load' })).body;
      let stopSending = false;
      let answeredAfterSignal = 0;
      let signalled = false;
      const sent: number[] = [];
      /** One of several clients behind a load balancer that looks at readiness every 20 ms. */
      const client = async () => {
        while (!stopSending) {
          sent.push((await ada.http.post(`/v1/chats/${id}/messages`, { role: 'user', content: 'still here' })).status);
          if (signalled) answeredAfterSignal++;
        }
      };
      const clients = [client(), client(), client(), client()];
      await until(async () => sent.length > 20);

      signalled = true;
      const ended = api.stop('SIGTERM');
      const ready = await until(async () => {
        const answer = await ada.http.get('/health/ready');
        return answer.status === 503 && answer;
      });
      expect(ready.body).toMatchObject({ status: 'down', checks: { draining: { status: 'down' } } });
      expect((await ada.http.get('/health/live')).status).toBe(200);
      await sleep(200); // the load balancer needs a moment
      stopSending = true;
      await Promise.all(clients); // a refused or broken connection would reject here
      expect(new Set(sent)).toEqual(new Set([201]));
      expect(answeredAfterSignal).toBeGreaterThan(0);
      expect(await ended).toBe(0);
    } finally {
      await api.stop('SIGKILL');
      await place.close();
    }
  });

  it('DC-6 a request that is under way at the end of the drain is still answered', async () => {
    const place = await way.open();
    const api = await ApiProcess.start({ ...place.settings, DRAIN_SECONDS: '0' });
    try {
      const http = new HttpClient(api.url);
      await http.get('/health/live');
      const registrations = Array.from({ length: 24 }, () =>
        http.post('/v1/users', { email: newEmail(), password: newPassword() }),
      );
      await Promise.race(registrations); // they have been received, and most are not answered: each hashes a password
      const ended = api.stop('SIGTERM');
      expect(new Set(statuses(await Promise.all(registrations)))).toEqual(new Set([201]));
      expect(await ended).toBe(0);
    } finally {
      await api.stop('SIGKILL');
      await place.close();
    }
  });

  it('DC-6 the process ends also with one who goes on sending, and never comes to an end', async () => {
    const place = await way.open();
    const api = await ApiProcess.start({ ...place.settings, DRAIN_SECONDS: '0' });
    const ada = await newLearner(new HttpClient(api.url));
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    const drip = setInterval(() => socket.write('1\r\n \r\n'), 500);
    try {
      const head = `POST /v1/study/items/bulk HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ada.token}\r\n`;
      socket.write(`${head}content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n`);
      await sleep(1500);
      expect(await api.stop('SIGTERM')).toBe(0);
    } finally {
      clearInterval(drip);
      socket.destroy();
      await api.stop('SIGKILL');
      await place.close();
    }
  }, 60_000);
});

describeServed('an own Redis, served', () => {
  let redis: RedisServer;
  let place: Awaited<ReturnType<typeof openServed>>;
  let api: ApiProcess;
  let http: HttpClient;
  beforeAll(async () => {
    redis = await startRedis();
    place = await openServed();
    api = await ApiProcess.start({ ...place.settings, REDIS_URL: redis.url });
    http = new HttpClient(api.url);
  }, 60_000);
  afterAll(async () => {
    await api?.stop();
    await redis?.stop();
    await place?.close();
  });
  const readiness = (status: string) =>
    until(async () => {
      const answer = await http.get('/health/ready');
      return answer.body.status === status && answer;
    });

  it('RED-7 RED-10 RED-13 RED-15 holds sessions, cached views and rate limits under their own keys only, none for longer than it may', async () => {
    const ada = await newLearner(http);
    const chat = await ada.http.post('/v1/chats', { title: 'Cached' });
    for (const path of ['/v1/users/me', `/v1/chats/${chat.body.id}`, `/v1/users/${ada.id}/profile`]) await ada.http.get(path);
    await ada.http.put(`/v1/users/${ada.id}/profile`, { firstName: 'Ada', lastName: 'Lovelace' });
    await ada.http.get(`/v1/users/${ada.id}/profile`);
    await withRedis(redis.url, async (client) => {
      const keys = await client.keys('*');
      expect(keys.filter((key) => key.startsWith('session:'))).toHaveLength(1);
      expect(keys.filter((key) => key.startsWith('cache:')).length).toBeGreaterThanOrEqual(4);
      for (const key of keys) expect(faultOfKey(key, await client.ttl(key))).toBeUndefined();
    });
  });

  it('OV-1 DC-6 may be killed and come back empty: everything is answered, and the same', async () => {
    const ada = await newLearner(http);
    await ada.http.put(`/v1/users/${ada.id}/profile`, { firstName: 'Ada', lastName: 'Lovelace' });
    const chat = await ada.http.post('/v1/chats', { title: 'Store of record', messages: [{ role: 'user', content: 'Hello' }] });
    const boss = http.as((await http.post('/v1/sessions', admin)).body.token);
    const reads = [
      '/v1/users/me',
      `/v1/users/${ada.id}/profile`,
      '/v1/sessions',
      '/v1/chats',
      `/v1/chats/${chat.body.id}`,
      `/v1/chats/${chat.body.id}/export`,
    ];
    const everything = async () => {
      const answers = [...(await Promise.all(reads.map((path) => ada.http.get(path)))), await boss.get('/v1/users?limit=200')];
      return answers.map(({ status, text }) => ({ status, text }));
    };
    const before = await everything();
    expect(new Set(before.map(({ status }) => status))).toEqual(new Set([200]));

    await redis.stop('SIGKILL');
    const degraded = await readiness('degraded');
    expect(degraded.status).toBe(200);
    expect(degraded.body.checks).toMatchObject({ postgres: { status: 'up' }, cache: { status: 'down' } });
    expect((await http.get('/health/live')).status).toBe(200);
    expect(await everything()).toEqual(before);

    // Writing, logging in and logging out go on as well.
    const grace = await newLearner(http);
    const append = await ada.http.post(`/v1/chats/${chat.body.id}/messages`, { role: 'user', content: 'Still there?' });
    expect(append.body.seq).toBe(2);
    expect((await ada.http.get(`/v1/chats/${chat.body.id}`)).body.messageCount).toBe(2);
    expect((await grace.http.delete('/v1/sessions/current')).status).toBe(204);
    expectProblem(await grace.http.get('/v1/users/me'), 401, 'SESSION_REVOKED');

    const during = await everything();
    redis = await redis.restart();
    expect((await readiness('ok')).status).toBe(200);
    expect(await everything()).toEqual(during);
    expect(await everything()).toEqual(during); // now from the cache
    expectProblem(await grace.http.get('/v1/users/me'), 401, 'SESSION_REVOKED');
  });
});
