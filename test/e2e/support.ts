import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'redis4';
import { admin, ApiProcess, type WayToRun } from '../support/api-process';
import { HttpClient, logIn, newLearner, type Answer, type TestLearner } from '../support/http';

/** One API for a whole describe block, started before its tests and ended after them. */
export class RunningApi {
  private place: Awaited<ReturnType<WayToRun['open']>>;
  private process: ApiProcess;

  constructor(way: WayToRun, extra: NodeJS.ProcessEnv = {}) {
    beforeAll(async () => {
      this.place = await way.open();
      this.process = await ApiProcess.start({ ...this.place.settings, ...extra });
    }, 60_000);
    afterAll(async () => {
      await this.process?.stop();
      await this.place?.close();
    });
  }

  get api(): ApiProcess {
    return this.process;
  }

  get settings(): NodeJS.ProcessEnv {
    return this.place.settings;
  }

  /** Nobody is logged in. */
  get http(): HttpClient {
    return new HttpClient(this.process.url);
  }

  /** Its database as the superuser, to look behind the API. */
  get databaseUrl(): string {
    return databaseUrlOf(this.settings);
  }

  newLearner(): Promise<TestLearner> {
    return newLearner(this.http);
  }

  /** A new session of the first ADMIN. */
  async admin(): Promise<HttpClient> {
    return this.http.as(await logIn(this.http, admin.email, admin.password));
  }

  /** Another user with a role. */
  async newUser(role: string): Promise<TestLearner> {
    const user = await this.newLearner();
    await (await this.admin()).put(`/v1/users/${user.id}/role`, { role });
    const token = await logIn(this.http, user.email, user.password);
    return { ...user, token, http: this.http.as(token) };
  }
}

export function databaseUrlOf(settings: NodeJS.ProcessEnv): string {
  const { DATABASE_URL: served, STUDENTLY_DATA_DIR: folder } = settings;
  if (!served) return `postgres://postgres@localhost/postgres?host=${encodeURIComponent(join(folder!, 'run'))}`;
  return Object.assign(new URL(process.env['TEST_POSTGRES_URL']!), { pathname: new URL(served).pathname }).href;
}

/** Checks that an answer is application/problem+json with this status and code. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect({ status: answer.status, code: answer.body?.code }).toEqual({ status, code });
  expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  expect(answer.body).toMatchObject({
    type: expect.any(String),
    title: expect.any(String),
    status,
    detail: expect.any(String),
    traceId: answer.headers.get('x-request-id'),
  });
}

/** The statuses of several answers, sorted: for requests that were sent at the same time. */
export const statuses = (answers: Answer[]) => answers.map(({ status }) => status).sort();

/** All items of a list, page by page. */
export async function allPages<T>(http: HttpClient, path: string, limit: number): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const at = new URLSearchParams({ limit: String(limit), ...(cursor && { cursor }) });
    const { body } = await http.get(`${path}${path.includes('?') ? '&' : '?'}${at}`);
    items.push(...body.items);
    cursor = body.nextCursor;
  }
  return items;
}

/** Waits until `probe` answers something. @throws after `withinMs` */
export async function until<T>(probe: () => Promise<T | undefined | false>, withinMs = 10_000): Promise<T> {
  for (const end = Date.now() + withinMs; ; await sleep(20)) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > end) throw new Error(`It did not happen within ${withinMs} ms`);
  }
}

/** A connection to Redis for a piece of a test. */
export async function withRedis<T>(url: string, work: (redis: ReturnType<typeof createClient>) => Promise<T>): Promise<T> {
  const redis = createClient({ url });
  await redis.connect();
  try {
    return await work(redis);
  } finally {
    await redis.disconnect();
  }
}

export const newEmail = () => `${randomUUID()}@example.org`;
export const newPassword = () => `correct horse ${randomUUID()}`;
