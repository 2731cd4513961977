import { join } from 'node:path';
import type { BenchContext } from './context';
import { cpuMicros, Helper } from './processes';

export interface LoadRequest {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  /** `[<id>]` in it becomes an id that no other request has. */
  body?: string;
}

export interface Load {
  url: string;
  connections: number;
  seconds: number;
  requests: LoadRequest[];
  /** Requests a second, sent when it is their time; without it each connection sends when it is answered. */
  rate?: number;
}

export interface LoadFigures {
  requests: number;
  perSecond: number;
  /** Latencies in ms. */
  p50: number;
  p95: number;
  p99: number;
  /** Share of one core that the client itself used: near 1 it is the client that is measured. */
  clientCpu: number;
}

export type ServerFigures = Omit<LoadFigures, 'requests'> & {
  /** CPU of the server process for one request, in µs. */
  cpuMicros: number;
  /** Share of one core that the server process used. */
  serverCpu: number;
};

/** Starts the client's process. @returns what puts a load on the server with that pid */
export async function startLoad(context: BenchContext) {
  const client = await context.use(
    () => Helper.start(join(__dirname, 'load-client.ts')),
    (helper) => helper.stop(),
  );
  return async (pid: number, load: Load): Promise<ServerFigures> => {
    const before = cpuMicros(pid);
    const start = performance.now();
    const { requests, ...figures } = await context.profiled(pid, () => client.ask<LoadFigures>(load));
    const used = cpuMicros(pid) - before;
    return { ...figures, cpuMicros: used / requests, serverCpu: used / 1000 / (performance.now() - start) };
  };
}
