import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(__dirname, '../../..');

/** Where and on what a workload was measured. */
export interface Machine {
  date: string;
  commit: string;
  cores: number;
  cpu: string;
  memoryGb: number;
  system: string;
  versions: Record<string, string>;
}

const said = (file: string, ...args: string[]) => {
  try {
    return execFileSync(file, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
};

const packageVersion = (name: string) =>
  (JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }).version;

export function thisMachine(): Machine {
  const system = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  const changed = said('git', 'status', '--porcelain', '--', 'apps', 'libs', 'migrations', 'package-lock.json') !== '';
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: (said('git', 'rev-parse', '--short', 'HEAD') || 'unknown') + (changed ? ' with uncommitted changes' : ''),
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${system}, kernel ${release()}`,
    versions: {
      Node: process.versions.node,
      PostgreSQL: /[\d.]+/.exec(said('/usr/lib/postgresql/15/bin/postgres', '--version'))?.[0] ?? '–',
      Redis: /v=([\d.]+)/.exec(said('/usr/bin/redis-server', '--version'))?.[1] ?? '–',
      NestJS: packageVersion('@nestjs/core'),
      Fastify: packageVersion('fastify'),
      MikroORM: packageVersion('@mikro-orm/core'),
      PGlite: packageVersion('@electric-sql/pglite'),
    },
  };
}
