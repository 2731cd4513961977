import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchContext } from './context';
import { percentile } from './interleave';
import { Program } from './processes';

const PGBENCH = '/usr/lib/postgresql/15/bin/pgbench';

export interface Script {
  name: string;
  text: string;
}

export interface PgbenchRun {
  url: string;
  clients: number;
  seconds: number;
  /** Taken at random, all alike. */
  scripts: Script[];
  /** Prepared: planned once for each connection. Extended: planned each time, as a driver does that names no statements. */
  protocol?: 'prepared' | 'extended';
}

export interface PgbenchFigures extends Record<string, number> {
  perSecond: number;
  /** Latencies in ms. */
  p50: number;
  p95: number;
  p99: number;
}

/** Puts a load on PostgreSQL, a connection for each client. @throws if a transaction failed */
export async function pgbench(context: BenchContext, run: PgbenchRun): Promise<PgbenchFigures> {
  const { url, clients, seconds, scripts, protocol = 'prepared' } = run;
  const folder = mkdtempSync(join(context.folder, 'pgbench-'));
  const files = scripts.map(({ name, text }) => {
    const file = join(folder, `${name}.sql`);
    writeFileSync(file, text);
    return `--file=${file}`;
  });
  const options = ['--no-vacuum', `--protocol=${protocol}`, `--client=${clients}`, '--jobs=1', `--time=${seconds}`];
  const log = ['--log', `--log-prefix=${join(folder, 'log')}`];
  const program = await context.use(
    async () => new Program(PGBENCH, [...options, ...log, ...files, url]),
    (started) => started.stop(),
  );
  const output = await program.output;
  const perSecond = Number(/^tps = ([\d.]+)/m.exec(output)?.[1]);
  const failed = /number of failed transactions: (\d+)/.exec(output)?.[1];
  if (!(perSecond > 0) || failed !== '0') throw new Error(`pgbench did not do it:\n${output}`);
  const logs = readdirSync(folder).filter((name) => name.startsWith('log.'));
  const micros = logs
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'))
    .map((line) => Number(line.split(' ')[2]));
  const sorted = Float64Array.from(micros).sort();
  rmSync(folder, { recursive: true });
  const milliseconds = (percent: number) => percentile(sorted, percent) / 1000;
  return { perSecond, p50: milliseconds(50), p95: milliseconds(95), p99: milliseconds(99) };
}
