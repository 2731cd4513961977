import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort, temporaryFolder } from './servers';
import type { Workspace } from './workspace';

const ROOT = join(__dirname, '../..');
const SERVERS = ['postgres-1', 'postgres-2', 'postgres-3'];
/** The first build takes most. */
const LONGEST_MS = 900_000;
const PATIENCE_MS = 120_000;
const RUNNING = ['running', 'streaming'];
/** Twice the interval of their health checks. */
const LOOKED_AT_MS = 10_000;
const run = promisify(execFile);

interface Member {
  Member: string;
  Role: 'Leader' | 'Sync Standby' | 'Replica';
  State: string;
}

/** docker-compose.yml with its profile `ha`, built and started as a project of its own, which takes along what it has kept when it goes. */
export class ComposeProject {
  private constructor(
    readonly url: string,
    private readonly options: readonly string[],
  ) {}

  static async start(workspace: Workspace, progress: (text: string) => void): Promise<ComposeProject> {
    await run('docker', ['compose', 'version']).catch((cause: Error) => {
      throw new Error('There is no Docker with Compose 2. To get it on Debian 12: sudo scripts/provision-docker.sh', { cause });
    });
    const folder = temporaryFolder('compose');
    const port = await freePort();
    const secrets = ['POSTGRES', 'STUDENTLY_APP', 'STUDENTLY_MIGRATOR', 'STUDENTLY_READER'].map(
      (login) => `${login}_PASSWORD=${randomBytes(24).toString('hex')}`,
    );
    const said = [...secrets, 'DATABASE_HOST=haproxy', 'DATABASE_STANDBYS=haproxy:5433', `STUDENTLY_PORT=${port}`];
    const [environment, limits] = [join(folder, '.env'), join(folder, 'limits.json')];
    writeFileSync(environment, `${readFileSync(join(ROOT, '.env.example'), 'utf8')}\n${said.join('\n')}\n`, { mode: 0o600 });
    // In nothing else it is not what people start.
    const RATES = { RATE_LIMIT: '1000000000', RATE_LIMIT_AUTH: '1000000000' };
    writeFileSync(limits, JSON.stringify({ services: { api: { environment: RATES } } }));
    const project = new ComposeProject(`http://127.0.0.1:${port}`, [
      ...['--project-name', `studently-${randomBytes(4).toString('hex')}`, '--project-directory', ROOT],
      ...['--file', join(ROOT, 'docker-compose.yml'), '--file', limits, '--env-file', environment, '--profile', 'ha'],
    ]);
    await workspace.use(
      async () => project,
      () => project.do('down', '--volumes', '--timeout', '3'),
    );
    progress('building images');
    await project.do('build', '--quiet');
    progress('starting containers');
    await project.untilWell();
    return project;
  }

  /** `docker compose …` @returns what it says @throws with its complaint */
  async do(...words: string[]): Promise<string> {
    try {
      return (await run('docker', ['compose', ...this.options, ...words], { timeout: LONGEST_MS })).stdout;
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      throw new Error(`docker compose ${words.join(' ')}: ${stderr?.trim().split('\n').slice(-20).join('\n') || message}`, {
        cause: error,
      });
    }
  }

  /** Starts what does not run, and waits until each container is healthy, and all servers follow one. */
  async untilWell(): Promise<void> {
    const start = () => this.do('up', '--detach', '--no-build', '--no-recreate', '--wait', '--wait-timeout', '120');
    // Docker does not wait for what was frozen: for it that is ill until it has been looked at.
    await start().catch(() => sleep(LOOKED_AT_MS).then(start));
    await this.until((members) => {
      const roles = members.map(({ Role }) => Role).sort();
      return members.every(({ State }) => RUNNING.includes(State)) && String(roles) === 'Leader,Replica,Sync Standby';
    });
  }

  /** @throws with who they are if they are not so within two minutes */
  async until(isSo: (members: Member[]) => boolean): Promise<void> {
    let members = await this.members();
    for (const end = Date.now() + PATIENCE_MS; !isSo(members); members = await this.members()) {
      if (Date.now() > end) throw new Error(`After ${PATIENCE_MS} ms the servers are ${JSON.stringify(members)}`);
    }
  }

  /** The server of a role. */
  async serverOf(role: Member['Role']): Promise<string> {
    return (await this.members()).find(({ Role }) => Role === role)!.Member;
  }

  /** What a `select count(*)` says on the primary, to a superuser. */
  async count(text: string): Promise<number> {
    const primary = await this.serverOf('Leader');
    const options = ['--host=/var/run/postgresql', '--username=postgres', '--tuples-only', '--no-align'];
    return Number(await this.do('exec', '--no-TTY', primary, 'psql', ...options, `--command=${text}`, 'studently'));
  }

  /** As any server knows them that answers. */
  private async members(): Promise<Member[]> {
    for (const server of SERVERS) {
      const list = ['patronictl', '--config-file', '/etc/patroni/config.yml', 'list', '--format', 'json'];
      const said = await this.do('exec', '--no-TTY', server, ...list).catch(() => '');
      if (said !== '') return JSON.parse(said) as Member[];
    }
    return [];
  }
}
