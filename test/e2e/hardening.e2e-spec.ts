import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { waysToRun } from '../support/api-process';
import type { HttpClient, TestLearner } from '../support/http';
import { expectProblem, RunningApi } from './support';

/** What reaches for the prototypes of objects, in all its spellings. */
const POLLUTION = [
  '{"__proto__":{"isAdmin":true}}',
  '{"constructor":{"prototype":{"isAdmin":true}}}',
  '{"prototype":{"isAdmin":true}}',
  '{"\\u005f_proto__":{"isAdmin":true}}',
  '{"a":[{"b":{"__proto__":null}}]}',
];
const POLLUTED_QUERIES = ['__proto__=1', 'constructor=1', 'prototype=x', '%5F_proto__=1', 'a=1&__proto__=2'];

// The headers and the parser are the same both ways: once is enough.
describe('Hardening', () => {
  const run = new RunningApi(waysToRun.at(-1)!);
  let ada: TestLearner;
  let operations: { method: string; path: string }[];
  beforeAll(async () => {
    ada = await run.newLearner();
    const { paths } = (await run.http.get('/openapi.json')).body;
    operations = Object.entries<object>(paths)
      .filter(([path]) => path.startsWith('/v1/'))
      .flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path: path.replace(/\{\w+\}/g, randomUUID()) })),
      );
  });

  describe('browsers', () => {
    const kinds: [what: string, send: (http: HttpClient) => ReturnType<HttpClient['get']>][] = [
      ['a view', (http) => http.get('/v1/users/me')],
      ['a write', (http) => http.post('/v1/chats', { title: 'A chat' })],
      ['a login', () => run.http.post('/v1/sessions', { email: ada.email, password: ada.password })],
      ['a problem', (http) => http.get(`/v1/chats/${randomUUID()}`)],
      ['a broken body', (http) => http.post('/v1/chats', '{')],
      ['no such route', (http) => http.get('/nowhere')],
      ['health', (http) => http.get('/health/ready')],
      ['metrics', (http) => http.get('/metrics')],
    ];

    it.each(kinds)('are told to take %s for nothing but what it is, and to run nothing of it', async (_what, send) => {
      const { headers } = await send(ada.http);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
      expect(headers.get('strict-transport-security')).toBeNull(); // over plain HTTP it means nothing
    });

    it('keep nothing that holds a secret, and ask again for everything else', async () => {
      const login = await run.http.post('/v1/sessions', { email: ada.email, password: ada.password });
      expect([login.status, login.headers.get('cache-control')]).toEqual([201, 'no-store']);
      expect((await ada.http.get('/v1/users/me')).headers.get('cache-control')).toBe('private, no-cache');
    });

    it('may show the page at /docs: its policy allows what it needs, and no script in the page', async () => {
      const page = await run.http.get('/docs');
      const policy = page.headers.get('content-security-policy')!;
      expect(policy).toContain("default-src 'self'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toMatch(/script-src|unsafe-eval|\*/); // scripts: default-src
      const scripts = [...page.text.matchAll(/<script\b([^>]*)>([^<]*)/g)];
      expect(scripts.length).toBeGreaterThan(0);
      for (const [, attributes, inside] of scripts)
        expect([/\bsrc="\.?\/?/.test(attributes!), inside!.trim()]).toEqual([true, '']);
      for (const [, address] of page.text.matchAll(/(?:src|href)="([^"]+)"/g)) {
        expect(address).not.toMatch(/^(https?:)?\/\//);
        expect((await run.http.get(new URL(address!, `${run.http.url}/docs`).pathname)).status).toBe(200);
      }
    });
  });

  describe('prototypes', () => {
    it('are out of reach of every body, on every route', async () => {
      const bodied = operations.filter(({ method }) => ['POST', 'PUT', 'PATCH'].includes(method));
      expect(bodied.length).toBeGreaterThan(15);
      for (const { method, path } of bodied) {
        const type = path.endsWith('/bulk') ? 'application/x-ndjson' : 'application/json';
        for (const body of POLLUTION) {
          const answer = await ada.http.send(method, path, body, { headers: { 'content-type': type } });
          if (path.endsWith('/bulk')) {
            expect({ path, body, ...answer.body }).toMatchObject({
              accepted: 0,
              rejected: [{ line: 1, code: 'VALIDATION_FAILED' }],
            });
          } else if (answer.status !== 422) {
            // a route that takes no body has no use for one either
            expect({ method, path, body, status: answer.status }).toMatchObject({ status: expect.any(Number) });
            expect([403, 404]).toContain(answer.status);
          } else expectProblem(answer, 422, 'VALIDATION_FAILED');
        }
      }
    });

    it('are out of reach of every query, on every route', async () => {
      for (const { method, path } of operations.filter((one) => one.method === 'GET')) {
        for (const query of POLLUTED_QUERIES)
          expectProblem(await ada.http.send(method, `${path}?${query}`), 422, 'VALIDATION_FAILED');
      }
    });

    it('are as they were afterwards', async () => {
      const chat = await ada.http.post('/v1/chats', { title: 'After all that' });
      expect(chat.text).not.toContain('isAdmin');
      expect((await ada.http.get('/v1/users')).status).toBe(403);
      expect((await run.http.get('/health/ready')).text).not.toContain('isAdmin');
    });
  });

  describe('slow clients', () => {
    const head = (rest: string) => `POST /v1/sessions HTTP/1.1\r\nhost: x\r\n${rest}`;

    /** Sends the beginning, then a byte every half second. @returns what was answered, and after how many seconds */
    async function dribble(beginning: string, bytes: string): Promise<{ answer: string; seconds: number }> {
      const { hostname, port } = new URL(run.http.url);
      const started = performance.now();
      let answer = '';
      let open = true;
      const socket = connect(Number(port), hostname);
      socket.on('data', (chunk) => (answer += chunk.toString()));
      socket.on('close', () => (open = false));
      socket.on('error', () => (open = false));
      socket.write(beginning);
      for (const byte of bytes) {
        if (!open) break;
        await sleep(500);
        if (open) socket.write(byte);
      }
      socket.destroy();
      return { answer, seconds: (performance.now() - started) / 1000 };
    }

    /** Is answered in the middle of an upload, and goes away. */
    async function answeredEarly(): Promise<void> {
      const bob = await run.newLearner();
      const { hostname, port } = new URL(run.http.url);
      const socket = connect(Number(port), hostname);
      const answer = new Promise((resolve, reject) => socket.once('data', resolve).once('error', reject));
      socket.write(`POST /v1/study/items/bulk HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${bob.token}\r\n`);
      socket.write('content-type: application/x-ndjson\r\ncontent-length: 10000000\r\n\r\n');
      await sleep(300);
      await bob.http.delete('/v1/sessions');
      socket.write('{"type":"note","content":{"markdown":"x"}}\n'.repeat(1500));
      expect(String(await answer)).toMatch(/^HTTP\/1\.1 401 /);
      socket.destroy();
    }

    it('are let go: a head within 10 s, a body within 30 s, and others do not wait for them', async () => {
      await answeredEarly();
      const forever = ' '.repeat(120);
      const clients = [
        ...Array.from({ length: 50 }, () => dribble(head('x-slow: '), 'x'.repeat(120))),
        ...Array.from({ length: 50 }, () =>
          dribble(head('content-type: application/json\r\ncontent-length: 1000\r\n\r\n{'), forever),
        ),
      ];
      await sleep(1000);
      const started = performance.now();
      for (let nr = 0; nr < 20; nr++) expect((await ada.http.get('/v1/users/me')).status).toBe(200);
      expect(performance.now() - started).toBeLessThan(5000);
      const ends = await Promise.all(clients);
      const heads = ends.slice(0, 50);
      const bodies = ends.slice(50);
      for (const { answer } of ends) {
        expect(answer).toMatch(/^HTTP\/1\.1 408 /);
        expect(answer).toContain('"code":"REQUEST_TIMEOUT"');
      }
      expect(Math.max(...heads.map(({ seconds }) => seconds))).toBeLessThan(20);
      expect(Math.max(...bodies.map(({ seconds }) => seconds))).toBeLessThan(45);
      expect(Math.min(...bodies.map(({ seconds }) => seconds))).toBeGreaterThan(25);
      expect((await ada.http.get('/v1/users/me')).status).toBe(200);
      expect(run.api.log).not.toContain('Unexpected error');
    }, 90_000);
  });
});
