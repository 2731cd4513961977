import { answer } from './processes';
import { percentile } from './interleave';
import type { Load, LoadFigures } from './load';
import autocannon from 'autocannon';

/** The client, in its own process: it shares no event loop with a server or with the benchmark. */
answer<Load, LoadFigures>(async ({ url, connections, seconds, requests, rate }) => {
  const times: number[] = [];
  let last = 0;
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const instance = autocannon({
    url,
    connections,
    duration: seconds,
    idReplacement: requests.some(({ body }) => body?.includes('[<id>]')),
    ...(rate && { overallRate: rate }),
    // Each connection walks through all requests, from another one on.
    setupClient: (client) => {
      const from = Math.floor(Math.random() * requests.length);
      client.setRequests([...requests.slice(from), ...requests.slice(0, from)]);
    },
  });
  instance.on('response', (_client, _status, _bytes, milliseconds) => {
    times.push(milliseconds);
    last = performance.now();
  });
  const { errors, timeouts, non2xx } = await instance;
  const cpu = process.cpuUsage(cpuBefore);
  if (errors + timeouts + non2xx > 0 || times.length === 0) {
    throw new Error(`${url}: ${times.length} answers, ${errors} errors, ${timeouts} timeouts, ${non2xx} not 2xx`);
  }
  const sorted = Float64Array.from(times).sort();
  return {
    requests: times.length,
    perSecond: times.length / ((last - start) / 1000),
    p50: percentile(sorted, 50),
    p95: percentile(sorted, 95),
    p99: percentile(sorted, 99),
    clientCpu: (cpu.user + cpu.system) / 1000 / (performance.now() - start),
  };
});
