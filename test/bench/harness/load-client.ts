import { Agent, request } from 'node:http';
import autocannon from 'autocannon';
import { percentile } from './interleave';
import type { Load, LoadFigures } from './load';
import { answer } from './processes';

/** The client, in its own process: it shares no event loop with a server or with the benchmark. */
answer<Load, LoadFigures>(async (load) => {
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const times = load.rate === undefined ? await inTurns(load) : await paced(load, load.rate);
  const { user, system } = process.cpuUsage(cpuBefore);
  const sorted = Float64Array.from(times.milliseconds).sort();
  return {
    requests: sorted.length,
    perSecond: sorted.length / ((times.last - start) / 1000),
    p50: percentile(sorted, 50),
    p95: percentile(sorted, 95),
    p99: percentile(sorted, 99),
    clientCpu: (user + system) / 1000 / (performance.now() - start),
  };
});

interface Times {
  milliseconds: number[];
  /** When the last answer came. */
  last: number;
}

/** Each connection sends the next request when the last one is answered. */
async function inTurns({ url, connections, seconds, requests }: Load): Promise<Times> {
  const times: Times = { milliseconds: [], last: 0 };
  const instance = autocannon({
    url,
    connections,
    duration: seconds,
    idReplacement: requests.some(({ body }) => body?.includes('[<id>]')),
    // Each connection walks through all requests, from another one on.
    setupClient: (client) => {
      const from = Math.floor(Math.random() * requests.length);
      client.setRequests([...requests.slice(from), ...requests.slice(0, from)]);
    },
  });
  instance.on('response', (_client, _status, _bytes, milliseconds) => {
    times.milliseconds.push(milliseconds);
    times.last = performance.now();
  });
  const { errors, timeouts, non2xx } = await instance;
  const { length } = times.milliseconds;
  if (errors + timeouts + non2xx > 0 || length === 0) {
    throw new Error(`${url}: ${length} answers, ${errors} errors, ${timeouts} timeouts, ${non2xx} not 2xx`);
  }
  return times;
}

/** Requests leave at their times, whether or not earlier ones are answered: a server that stops is not spared any. */
async function paced({ url, connections, seconds, requests }: Load, rate: number): Promise<Times> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const times: Times = { milliseconds: [], last: 0 };
  const send = ({ method, path, headers, body }: Load['requests'][number]) =>
    new Promise<void>((resolve, reject) => {
      const sent = performance.now();
      const sending = request(url + path, { method, headers, agent }, (response) => {
        response.resume().on('end', () => {
          times.last = performance.now();
          times.milliseconds.push(times.last - sent);
          if (response.statusCode! < 300) resolve();
          else reject(new Error(`${url}: ${response.statusCode}`));
        });
      });
      sending.on('error', reject).end(body);
    });
  const start = performance.now();
  const sendings: Promise<void>[] = [];
  while (performance.now() - start < seconds * 1000) {
    const due = Math.min(seconds * rate, ((performance.now() - start) / 1000) * rate);
    while (sendings.length < due) {
      const sending = send(requests[sendings.length % requests.length]!);
      sending.catch(() => undefined); // told at the end
      sendings.push(sending);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(sendings).finally(() => agent.destroy());
  return times;
}
