import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDatabase } from './database';
import { freePort } from './servers';

const MAIN = join(__dirname, '../../dist/apps/api/src/main.js');

/** The sample has a test of its own; everywhere else a database begins empty. */
const DEFAULTS = { PATH: process.env['PATH'], STUDENTLY_SAMPLE: 'off' };

/** The built API as a process of its own, as it is started by people and orchestrators. */
export class ApiProcess {
  private constructor(
    readonly url: string,
    readonly environment: NodeJS.ProcessEnv,
    private readonly child: ChildProcess,
    private readonly output: string[],
    private readonly exited: Promise<number | null>,
  ) {}

  /** Starts the API and waits until it says that it is ready. @throws with its output if it ends instead */
  static async start(settings: NodeJS.ProcessEnv): Promise<ApiProcess> {
    const port = settings['PORT'] ?? String(await freePort());
    const environment = { ...DEFAULTS, DRAIN_SECONDS: '0', ...settings, PORT: port };
    const child = spawn(process.execPath, [MAIN], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    const output: string[] = [];
    const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    const ready = new Promise<void>((resolve) => {
      const listen = (chunk: Buffer) => {
        output.push(chunk.toString());
        if (chunk.includes('data platform is ready')) resolve();
      };
      child.stdout.on('data', listen);
      child.stderr.on('data', listen);
    });
    const api = new ApiProcess(`http://127.0.0.1:${port}`, environment, child, output, exited);
    const early = await Promise.race([ready, exited.then((code) => code ?? -1)]);
    if (early !== undefined) throw new Error(`The API ended with ${early}:\n${api.log}`);
    return api;
  }

  /** Starts it and waits for its end: for starts that must fail. */
  static async run(settings: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, [MAIN], {
      env: { ...DEFAULTS, PORT: '0', ...settings },
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

  get pid(): number {
    return this.child.pid!;
  }

  /** Sends a signal and waits for the end. @returns the exit code */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    return this.exited;
  }

  /** Another process with the same settings, on another port unless this one has ended. */
  async restart(settings: NodeJS.ProcessEnv = {}): Promise<ApiProcess> {
    return ApiProcess.start({ ...this.environment, PORT: undefined, ...settings });
  }
}

/** The two ways to run, as the end-to-end suite goes through them. */
export interface WayToRun {
  readonly name: 'embedded' | 'served';
  /** Prepares what the API runs on. */
  open(): Promise<{ settings: NodeJS.ProcessEnv; close(): Promise<void> }>;
}

/** The first ADMIN of every test run. */
export const admin = { email: 'admin@example.org', password: randomBytes(12).toString('hex') };
const common = { BOOTSTRAP_ADMIN_EMAIL: admin.email, BOOTSTRAP_ADMIN_PASSWORD: admin.password };

const embedded: WayToRun = {
  name: 'embedded',
  open: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-embedded-'));
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

/** Embedded always, served where the machine has the servers (CI must). */
export const waysToRun: WayToRun[] = process.env['TEST_POSTGRES_URL'] ? [embedded, served] : [embedded];
