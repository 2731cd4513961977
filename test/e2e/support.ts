import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, createCluster } from 'redis4';
import { admin, ApiProcess, type WayToRun } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient, logIn, newLearner, type Answer, type TestLearner } from '../support/http';
import { RedisCluster } from '../support/redis-cluster';
import { faultOfKey } from '../support/redis-keys';
import { startRedis } from '../support/servers';

export interface OwnRedis {
  /** REDIS_URL, in this way to run */
  readonly url: string;
  stop(): Promise<void>;
}

/** A Redis of a test's own, of the kind that the others of this way to run share. */
export const startOwnRedis = (way: Pick<WayToRun, 'name'>): Promise<OwnRedis> =>
  way.name === 'cluster' ? RedisCluster.start() : startRedis();

/**
 * One API for a whole describe block, started before its tests and ended after them; where it is served, with a worker if
 * the tests wait for what is done in the background.
 */
export class RunningApi {
  private place: Awaited<ReturnType<WayToRun['open']>>;
  private process: ApiProcess;
  private worker?: ApiProcess;
  private jobsRedis?: OwnRedis;

  constructor(way: WayToRun, extra: NodeJS.ProcessEnv = {}, { withWorker = false } = {}) {
    beforeAll(async () => {
      this.place = await way.open();
      const settings = { ...this.place.settings, ...extra };
      if (withWorker && way.name !== 'embedded') {
        this.jobsRedis = await startOwnRedis(way); // its own: the worker of another test would take its jobs
        settings['REDIS_JOBS_URL'] = this.jobsRedis.url;
        this.worker = await ApiProcess.start(settings, 'worker');
      }
      this.process = await ApiProcess.start(settings);
    }, 60_000);
    afterAll(async () => {
      await this.process?.stop();
      await this.worker?.stop();
      await this.jobsRedis?.stop();
      const faults = await faultsOfKeys(this.place?.settings['REDIS_URL']);
      await this.place?.close();
      expect(faults).toEqual([]);
    }, 120_000);
  }

  get api(): ApiProcess {
    return this.process;
  }

  /** The process that does what is done in the background. */
  get background(): ApiProcess {
    return this.worker ?? this.process;
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

/** As if the user had been deleted long ago: the id may be given to somebody else. */
export async function letIdGo(databaseUrl: string, userId: string): Promise<void> {
  const renamed = `update audit_events set action = 'user.deleted-long-ago' where learner_id = $1 and action = 'user.deleted'`;
  await sql(databaseUrl, renamed, [userId]);
}

/** What is wrong with the keys on any of the servers: RED-7, RED-10, RED-13 hold after every suite. */
async function faultsOfKeys(url: string | undefined): Promise<string[]> {
  if (!url) return [];
  return onEachRedis(url, async (redis) => {
    const faults: string[] = [];
    for await (const key of redis.scanIterator({ COUNT: 1000 })) {
      const fault = faultOfKey(key, await redis.ttl(key));
      if (fault) faults.push(fault);
    }
    return faults;
  });
}

type Redis = ReturnType<typeof createClient>;

/** A connection to Redis for a piece of a test; to a cluster, if the address names several nodes. */
export async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const nodes = url.split(',').map((node) => ({ url: node }));
  // What a test asks of one key is the same for both.
  const redis = nodes.length > 1 ? (createCluster({ rootNodes: nodes }) as unknown as Redis) : createClient({ url });
  await redis.connect();
  try {
    return await work(redis);
  } finally {
    await redis.disconnect();
  }
}

/** A connection to each server that holds keys, one after the other, for what looks at all keys. */
export async function onEachRedis<T>(url: string, work: (redis: Redis) => Promise<T[]>): Promise<T[]> {
  const found: T[] = [];
  for (const node of url.split(',')) {
    found.push(
      ...(await withRedis(node, async (redis) =>
        (await redis.sendCommand<string[]>(['ROLE']))[0] === 'master' ? work(redis) : [],
      )),
    );
  }
  return found;
}

/** The session's id is inside its token, behind the user's. */
export const sessionIdOf = (token: string) =>
  Buffer.from(token, 'base64url')
    .subarray(16, 32)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

export const newEmail = () => `${randomUUID()}@example.org`;
export const newPassword = () => `correct horse ${randomUUID()}`;
