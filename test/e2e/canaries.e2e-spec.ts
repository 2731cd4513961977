import { randomBytes, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient, type Answer } from '../support/http';
import { RunningApi } from './support';

/** Words that exist nowhere else, each planted in one place. */
class Canaries {
  private readonly places = new Map<string, string>();
  /** Of those that came back in an answer of 2xx: they were taken in, so that their absence elsewhere says something. */
  readonly taken = new Set<string>();

  in(place: string): string {
    const word = `canary${randomBytes(6).toString('hex')}`;
    this.places.set(word, place);
    return word;
  }

  /** Where the words come from that are in a text, however it writes them. */
  foundIn(text: string): string[] {
    const lower = text.toLowerCase();
    const forms = (word: string) => [
      word,
      ...(['base64', 'base64url', 'hex'] as const).map((form) => Buffer.from(word).toString(form).toLowerCase()),
    ];
    return [...this.places]
      .filter(([word]) => forms(word).some((form) => lower.includes(form.replace(/=+$/, ''))))
      .map(([, place]) => place);
  }

  note(answer: Answer): void {
    if (answer.status < 300) this.foundIn(answer.text).forEach((place) => this.taken.add(place));
  }

  get size(): number {
    return this.places.size;
  }
}

describe.each(waysToRun)('Canaries at LOG_LEVEL=trace, $name', (way) => {
  const run = new RunningApi(way, { LOG_LEVEL: 'trace', LOG_ACCESS: 'true' }, { withWorker: true });
  const canaries = new Canaries();
  const plant = (place: string) => canaries.in(place);
  const refusals: string[] = [];
  const statuses = new Set<number>();
  const secrets: string[] = [];

  /** Sends with canaries in headers too, and keeps what refuses it. */
  async function send(http: HttpClient, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const answer = await http.send(method, path, body, {
      headers: {
        'user-agent': plant('user-agent'),
        cookie: `session=${plant('cookie')}`,
        referer: `https://example.org/${plant('referer')}`,
        'x-forwarded-for': plant('x-forwarded-for'),
        'x-request-id': `not sane: ${plant('x-request-id')}`,
        ...headers,
      },
    });
    statuses.add(answer.status);
    canaries.note(answer);
    if (answer.status >= 400)
      refusals.push(
        `${method} ${path.replace(/canary\w+/g, '…')} ${answer.status} ${answer.text} ${answer.headers.get('x-request-id')}`,
      );
    return answer;
  }

  let ada: HttpClient;
  let adaId: string;
  let boss: HttpClient;
  let ids: Record<string, string>;

  beforeAll(async () => {
    const email = `${plant('e-mail')}@example.org`;
    const password = `${plant('password')} is long enough`;
    const profile = {
      firstName: plant('first name'),
      lastName: plant('last name'),
      preferences: { [plant('preference key')]: plant('preference') },
    };
    const user = await send(run.http, 'POST', '/v1/users', { email, password, profile });
    expect(user.status).toBe(201);
    adaId = user.body.id;
    const session = await send(run.http, 'POST', '/v1/sessions', { email, password });
    ada = run.http.as(session.body.token);
    boss = await run.admin();
    secrets.push(session.body.token, password);
    await send(run.http, 'POST', '/v1/users', {
      email: email.toUpperCase(),
      password: `${plant('password of a taken e-mail')} long enough`,
    });
    await send(run.http, 'POST', '/v1/sessions', { email, password: plant('wrong password') });
    await send(run.http, 'POST', '/v1/sessions', {
      email: `${plant('unknown e-mail')}@example.org`,
      password: plant('password of nobody'),
    });
    await send(run.http, 'POST', '/v1/users', {
      email: `${plant('e-mail with a short password')}@example.org`,
      password: plant('short').slice(0, 8),
    });
  }, 60_000);

  it('SEC-14 are planted in everything that is kept', async () => {
    const message = () => ({
      role: 'user',
      content: plant('message'),
      metadata: { [plant('message key')]: plant('message metadata') },
    });
    const chat = await send(ada, 'POST', '/v1/chats', { title: plant('chat title'), messages: [message(), message()] });
    await send(ada, 'POST', `/v1/chats/${chat.body.id}/messages`, message(), { 'idempotency-key': plant('idempotency key') });
    const document = await send(ada, 'POST', '/v1/documents', {
      type: 'text',
      title: plant('document title'),
      content: `${plant('document')} is about grass.`,
      metadata: { [plant('document key')]: plant('document metadata') },
      embedding: Array(1536).fill(1),
    });
    await send(ada, 'POST', '/v1/documents', { type: 'text', content: `${plant('document that is embedded')} and more.` });
    const item = await send(ada, 'POST', '/v1/study/items', {
      type: 'flashcard',
      content: { front: plant('front'), back: plant('back') },
      tags: [plant('tag')],
    });
    await send(ada, 'POST', `/v1/study/items/${item.body.id}/reviews`, { clientReviewId: plant('review id'), rating: 3 });
    const progress = await send(ada, 'POST', '/v1/progress', {
      category: plant('category'),
      score: 50,
      metadata: { a: plant('progress metadata') },
    });
    ids = {
      chatId: chat.body.id,
      documentId: document.body.id,
      itemId: item.body.id,
      progressId: progress.body.id,
      userId: adaId,
    };
    await send(boss, 'PUT', `/v1/users/${adaId}/subscription`, {
      plan: plant('plan'),
      status: 'active',
      currentPeriodStart: '2026-01-01T00:00:00Z',
      currentPeriodEnd: '2026-02-01T00:00:00Z',
      externalRef: plant('external reference'),
    });
    for (const [path, type, line] of [
      [
        '/v1/study/items/bulk',
        'application/x-ndjson',
        (word: string) => JSON.stringify({ type: 'note', content: { markdown: word } }),
      ],
      ['/v1/study/items/bulk', 'text/csv', (word: string) => `front,back\n${word},b`],
      ['/v1/documents/bulk', 'application/x-ndjson', (word: string) => JSON.stringify({ type: 'text', content: word })],
    ] as const) {
      const lines = [
        line(plant('bulk line')),
        `{"broken ${plant('broken line')}`,
        JSON.stringify({ type: plant('type of a line'), content: plant('content of a line') }),
      ];
      await send(ada, 'POST', path, lines.join('\n'), { 'content-type': type, 'batch-id': plant('batch id') });
    }
    const question = { text: `What about ${plant('question')}?`, k: 3 };
    await send(ada, 'POST', '/v1/documents/search', question);
    await send(ada, 'POST', '/v1/documents/search', {
      ...question,
      filter: { metadata: { [plant('filter key')]: plant('filter') } },
    });
    await send(ada, 'POST', '/v1/chats/search', question);
    await send(ada, 'POST', `/v1/chats/${ids['chatId']}/context`, { text: question.text, tokenBudget: 500 });
    for (const path of [
      `/v1/chats/${ids['chatId']}`,
      `/v1/chats/${ids['chatId']}/export`,
      `/v1/chats/${ids['chatId']}/export?format=markdown`,
      `/v1/documents/${ids['documentId']}`,
      `/v1/study/items/${ids['itemId']}`,
      `/v1/progress/${ids['progressId']}`,
      `/v1/users/${adaId}/profile`,
      `/v1/users/${adaId}/subscription`,
      '/v1/users/me',
    ]) {
      expect([path, (await send(ada, 'GET', path)).status]).toEqual([path, 200]);
    }
    const missing = [
      'e-mail',
      'first name',
      'last name',
      'preference',
      'message',
      'chat title',
      'document',
      'document title',
      'front',
      'tag',
      'category',
      'external reference',
    ];
    expect(missing.filter((place) => !canaries.taken.has(place))).toEqual([]);
  }, 60_000);

  it('SEC-14 are planted in every field, query and header of every route, and in broken requests', async () => {
    const { paths, components } = (await run.http.get('/openapi.json')).body;
    const schemaOf = (body: any) => {
      const schema = (Object.values(body?.content ?? {})[0] as any)?.schema;
      return schema?.$ref ? components.schemas[schema.$ref.split('/').at(-1)] : schema;
    };
    for (const [template, methods] of Object.entries<Record<string, any>>(paths).filter(([path]) => path.startsWith('/v1/'))) {
      for (const [name, operation] of Object.entries(methods)) {
        if (name === 'delete') continue;
        const method = name.toUpperCase();
        const path = template.replace(/\{(\w+)\}/g, (_all, parameter: string) => ids[parameter] ?? randomUUID());
        const where = `${method} ${template}`;
        const broken = template.replace(/\{\w+\}/g, () => plant(`path of ${where}`));
        const query = (operation.parameters ?? [])
          .filter((one: any) => one.in === 'query')
          .map((one: any) => `${one.name}=${plant(`query of ${where}`)}`);
        const headers = Object.fromEntries(
          ['if-match', 'if-none-match', 'x-read-token', 'idempotency-key', 'last-event-id', 'x-act-as'].map((header) => [
            header,
            plant(`${header} of ${where}`),
          ]),
        );
        if (method === 'GET') {
          await send(ada, method, `${path}?${[...query, `unknown=${plant('unknown query')}`].join('&')}`);
          await send(ada, method, path, undefined, headers);
          await send(run.http.as(plant('token')), method, path);
          if (broken !== template) await send(ada, method, broken);
          continue;
        }
        const fields = Object.keys(schemaOf(operation.requestBody)?.properties ?? {});
        for (const field of fields) {
          await send(boss, method, path.replace(adaId, randomUUID()), {
            [field]: plant(`${field} of ${where}`),
            unknown: plant('unknown field'),
          });
          await send(ada, method, path.replace(adaId, randomUUID()), {
            [field]: { [plant(`key in ${field} of ${where}`)]: `${plant('NUL')}\0` },
          });
        }
        await send(ada, method, path, `{"half": "${plant(`broken body of ${where}`)}`);
        await send(ada, method, path, plant('other media type'), { 'content-type': `text/${plant('media type')}` });
        await send(run.http.as(plant('token')), method, path, { title: plant('body of nobody') });
        if (broken !== template) await send(ada, method, broken, {});
        await send(ada, method, path.replace(adaId, randomUUID()), {}, headers);
      }
    }
    await send(run.http, 'GET', `/${plant('unknown route')}?${plant('query of an unknown route')}`);
    await send(run.http, 'GET', `/v1/chats/%zz${plant('broken address')}`);
    await new Promise((resolve) => {
      const { hostname, port } = new URL(run.http.url);
      const socket = connect(Number(port), hostname, () => socket.end(`${plant('what is no HTTP')}\r\n\r\n`));
      socket.on('data', (chunk) => refusals.push(`socket 400 ${chunk.toString()}`)).on('close', resolve);
    });
    expect([400, 401, 403, 404, 415, 422].filter((status) => !statuses.has(status))).toEqual([]);
  }, 120_000);

  it('SEC-14 MC-12 are in what PostgreSQL complains about, which is told to nobody', async () => {
    await sql(run.databaseUrl, `alter table chats add constraint planted_fault check (title not like 'fault%')`);
    await sql(run.databaseUrl, `alter table progress add constraint planted_fault check (category not like 'fault%')`);
    const chat = await send(ada, 'POST', '/v1/chats', { title: `fault ${plant('title of a fault')}` });
    const progress = await send(ada, 'POST', '/v1/progress', { category: `fault ${plant('category of a fault')}`, score: 1 });
    expect([chat.status, progress.status]).toEqual([500, 500]);
    await sql(run.databaseUrl, 'alter table chats rename to hidden');
    expect((await send(ada, 'POST', '/v1/chats', { title: plant('title without a table') })).status).toBe(500);
    await sql(run.databaseUrl, 'alter table hidden rename to chats');
  });

  it('SEC-14 are in no line of the log, in no metric, and in no refusal', async () => {
    const processes = [...new Set([run.api, run.background])];
    const metrics = (await Promise.all(processes.map(({ url }) => new HttpClient(url).get('/metrics'))))
      .map(({ text }) => text)
      .join();
    for (const each of processes) await each.stop(); // all that they have to say has been said
    const log = processes.map((each) => each.log).join();
    expect(canaries.size).toBeGreaterThan(1000);
    expect(log.split('\n').filter((line) => line.includes('"route"')).length).toBeGreaterThan(200);
    expect(log).toContain('Unexpected error');
    expect(canaries.foundIn(log)).toEqual([]);
    expect(canaries.foundIn(metrics)).toEqual([]);
    // A refusal names the field that is at fault, also one that the caller has made up, and nothing that is in it.
    const told = refusals.flatMap((refusal) => canaries.foundIn(refusal)).filter((place) => !place.startsWith('key in '));
    expect(told).toEqual([]);
    for (const secret of secrets) expect(`${log}${metrics}${refusals.join('')}`).not.toContain(secret);
  });
});
