import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dataFolderOf } from './data-folder';
import { createTestDatabase } from './database';
import { freePort } from './servers';

const LONGEST_END_MS = 40_000;

/** What each program says when it is ready. */
const PROGRAMS = { api: 'data platform is ready', worker: 'worker is ready' };
const DIST = join(__dirname, '../../dist');

/**
 * The sample has a test of its own; everywhere else a database begins empty. Requests are counted as always, but a test
 * may send as many as it likes.
 */
const DEFAULTS = {
  PATH: process.env['PATH'],
  STUDENTLY_SAMPLE: 'off',
  RATE_LIMIT: '1000000000',
  RATE_LIMIT_AUTH: '1000000000',
  get STUDENTLY_DATA_DIR() {
    return process.env['TEST_DATA_DIR'];
  },
};

/** The built API, or the worker, as a process of its own, as it is started by people and orchestrators. */
export class ApiProcess {
  private constructor(
    readonly url: string,
    readonly environment: NodeJS.ProcessEnv,
    private readonly program: keyof typeof PROGRAMS,
    private readonly child: ChildProcess,
    private readonly output: string[],
    private readonly exited: Promise<number | null>,
  ) {}

  /** Starts it, or that of another release, and waits until it says that it is ready. @throws with its output if it ends instead */
  static async start(settings: NodeJS.ProcessEnv, program: keyof typeof PROGRAMS = 'api', dist = DIST): Promise<ApiProcess> {
    const port = settings['PORT'] ?? String(await freePort());
    const environment = {
      ...DEFAULTS,
      DRAIN_SECONDS: '0',
      ...dataFolderOf(settings),
      ...settings,
      PORT: port,
      WORKER_PORT: port,
    };
    const child = spawn(process.execPath, [join(dist, `${program}.js`)], {
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: string[] = [];
    const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    const ready = new Promise<void>((resolve) => {
      const listen = (chunk: Buffer) => {
        output.push(chunk.toString());
        if (chunk.includes(PROGRAMS[program])) resolve();
      };
      child.stdout.on('data', listen);
      child.stderr.on('data', listen);
    });
    const api = new ApiProcess(`http://127.0.0.1:${port}`, environment, program, child, output, exited);
    const early = await Promise.race([ready, exited.then((code) => code ?? -1)]);
    if (early !== undefined) throw new Error(`The ${program} ended with ${early}:\n${api.log}`);
    void exited.then((code) => {
      // Whoever talks to it would only be told that nobody answers.
      if (!child.killed) process.stderr.write(`The ${program} ended by itself, with ${code}:\n${api.log.slice(-4000)}\n`);
    });
    return api;
  }

  /** Starts it and waits for its end: for starts that must fail. */
  static async run(
    settings: NodeJS.ProcessEnv,
    program: keyof typeof PROGRAMS = 'api',
    dist = DIST,
  ): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, [join(dist, `${program}.js`)], {
      env: { ...DEFAULTS, PORT: '0', WORKER_PORT: '0', ...dataFolderOf(settings), ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    return { code, output };
  }

  get log(): string {
    return this.output.join('');
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Sends a signal and waits for the end. @returns the exit code. @throws with its last words if it does not end: then it is killed */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      this.child.kill('SIGKILL');
    }, LONGEST_END_MS);
    const code = await this.exited.finally(() => clearTimeout(late));
    if (isLate) {
      throw new Error(`The ${this.program} has not ended ${LONGEST_END_MS} ms after ${signal}:\n${this.log.slice(-2000)}`);
    }
    return code;
  }

  /** Another process with the same settings, on another port unless this one has ended. */
  async restart(settings: NodeJS.ProcessEnv = {}): Promise<ApiProcess> {
    return ApiProcess.start({ ...this.environment, PORT: undefined, ...settings }, this.program);
  }
}

/** The ways to run, as the end-to-end suite goes through them. */
export interface WayToRun {
  readonly name: 'embedded' | 'served' | 'cluster';
  /** Prepares what the API runs on. */
  open(): Promise<{ settings: NodeJS.ProcessEnv; close: () => Promise<void> }>;
}

/** The first ADMIN of every test run. */
export const admin = { email: 'admin@example.org', password: randomBytes(12).toString('hex') };
const common = { BOOTSTRAP_ADMIN_EMAIL: admin.email, BOOTSTRAP_ADMIN_PASSWORD: admin.password };

export const embedded: WayToRun = {
  name: 'embedded',
  open: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-embedded-'));
    cpSync(process.env['TEST_EMBEDDED_TEMPLATE']!, folder, { recursive: true });
    return {
      settings: { ...common, STUDENTLY_DATA_DIR: folder },
      close: async () => rmSync(folder, { recursive: true, force: true }),
    };
  },
};

const served: WayToRun = {
  name: 'served',
  open: async () => {
    const database = await createTestDatabase();
    return {
      settings: { ...common, DATABASE_URL: database.url, REDIS_URL: process.env['TEST_REDIS_URL'] },
      close: () => database.drop(),
    };
  },
};

const cluster: WayToRun = {
  name: 'cluster',
  open: async () => {
    const place = await served.open();
    const redis = { REDIS_MODE: 'cluster', REDIS_URL: process.env['TEST_REDIS_CLUSTER_URL'] };
    return { ...place, settings: { ...place.settings, ...redis } };
  },
};

/** `TEST_WAYS=cluster npm test -- e2e` runs everything that way. */
const chosen = (byDefault: WayToRun[]) =>
  [embedded, served, cluster]
    .filter((way) => process.env['TEST_WAYS']?.split(',').includes(way.name) ?? byDefault.includes(way))
    .filter((way) => way === embedded || process.env['TEST_POSTGRES_URL']);

/** Embedded always, served where the machine has the servers (CI must). */
export const waysToRun = chosen([embedded, served]);

/** And with a Redis Cluster, where what is tested is mostly done by Redis. */
export const waysWithCluster = chosen([embedded, served, cluster]);

/** For what needs the servers; by default whatever Redis is. */
export function describeEachServed(name: string, tests: (way: WayToRun) => void, ways = waysWithCluster): void {
  for (const way of ways) if (way !== embedded) describe(`${name}, ${way.name}`, () => tests(way));
}
