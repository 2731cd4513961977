import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Where a Node process listens for a debugger once it has been sent SIGUSR1. */
const INSPECTOR = 'http://127.0.0.1:9229/json/list';
const LONGEST_WAIT_MS = 5000;
const SAMPLE_MICROS = 200;

interface CallFrame {
  functionName: string;
  url: string;
  /** From 0. */
  lineNumber: number;
}

/** As V8 gives it: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
export interface CpuProfile {
  nodes: { id: number; callFrame: CallFrame; children?: number[] }[];
  samples: number[];
  /** µs between samples */
  timeDeltas: number[];
}

/** A function at one place of the tree of calls. */
export interface Frame {
  name: string;
  /** The package it is of, or what of Node or V8 it is. */
  part: string;
  /** µs, with what it has called */
  total: number;
  /** µs, by itself */
  own: number;
  called: Map<string, Frame>;
}

/** Takes the CPU profile of another Node process while `work` goes on. @throws if it does not open its inspector */
export async function profileOf<T>(pid: number, work: () => Promise<T>): Promise<[T, CpuProfile]> {
  const socket = new WebSocket(await inspectorOf(pid));
  await once(socket, 'open');
  let nr = 0;
  const ask = async <A>(method: string, params = {}): Promise<A> => {
    const id = ++nr;
    socket.send(JSON.stringify({ id, method, params }));
    for (;;) {
      const [{ data }] = (await once(socket, 'message')) as [MessageEvent<string>];
      const answer = JSON.parse(data) as { id: number; result: A };
      if (answer.id === id) return answer.result;
    }
  };
  try {
    const { result: asked } = await ask<{ result: { value: number } }>('Runtime.evaluate', { expression: 'process.pid' });
    if (asked.value !== pid) throw new Error(`Port 9229 is held by process ${asked.value}: end it, or its debugger.`);
    await ask('Profiler.enable');
    await ask('Profiler.setSamplingInterval', { interval: SAMPLE_MICROS });
    await ask('Profiler.start');
    const result = await work();
    return [result, (await ask<{ profile: CpuProfile }>('Profiler.stop')).profile];
  } finally {
    socket.close();
  }
}

async function inspectorOf(pid: number): Promise<string> {
  process.kill(pid, 'SIGUSR1');
  for (const end = performance.now() + LONGEST_WAIT_MS; performance.now() < end; await sleep(50)) {
    const targets = await fetch(INSPECTOR).then(
      (response) => response.json() as Promise<{ webSocketDebuggerUrl: string }[]>,
      () => [],
    );
    if (targets[0]) return targets[0].webSocketDebuggerUrl;
  }
  throw new Error(`Process ${pid} does not open its inspector at ${INSPECTOR}.`);
}

/** The tree of calls of the time in which the process did something. */
export function framesOf({ nodes, samples, timeDeltas }: CpuProfile): Frame {
  const own = new Map<number, number>();
  samples.forEach((id, index) => own.set(id, (own.get(id) ?? 0) + timeDeltas[index]!));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const root = newFrame('all', '');
  const add = (id: number, parent: Frame): number => {
    const { callFrame, children = [] } = byId.get(id)!;
    const name = callFrame.functionName || '(anonymous)';
    if (name === '(idle)') return 0;
    const part = partOf(callFrame);
    const key = `${name} ${callFrame.url}:${callFrame.lineNumber}`;
    let frame = parent.called.get(key);
    if (!frame) parent.called.set(key, (frame = newFrame(name, part)));
    const mine = own.get(id) ?? 0;
    const total = mine + children.reduce((sum, child) => sum + add(child, frame), 0);
    frame.own += mine;
    frame.total += total;
    return total;
  };
  root.total = (nodes[0]!.children ?? []).reduce((sum, child) => sum + add(child, root), 0);
  return root;
}

const newFrame = (name: string, part: string): Frame => ({ name, part, total: 0, own: 0, called: new Map() });

/** Where each file begins in a program, which is one file: esbuild writes it above. */
const placesIn = new Map<string, { line: number; file: string }[]>();

function readPlaces(program: string): { line: number; file: string }[] {
  const lines = existsSync(program) ? readFileSync(program, 'utf8').split('\n') : [];
  return lines.flatMap((text, line) => {
    const file = /^ *\/\/ ((?:node_modules|dist)\/\S+)$/.exec(text)?.[1];
    return file === undefined ? [] : [{ line, file }];
  });
}

function fileOf({ url, lineNumber }: CallFrame): string {
  if (!/\/dist\/\w+\.bundle\.js$/.test(url)) return url;
  if (!placesIn.has(url)) placesIn.set(url, readPlaces(fileURLToPath(url)));
  const place = placesIn.get(url)!.findLast(({ line }) => line <= lineNumber);
  return place ? `/${place.file}` : url;
}

function partOf(callFrame: CallFrame): string {
  const { functionName } = callFrame;
  const url = fileOf(callFrame);
  const [, installed] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? [];
  if (installed !== undefined) return installed;
  if (url.includes('/dist/')) return 'platform';
  if (url.startsWith('node:')) return 'node';
  if (functionName === '(garbage collector)') return 'garbage collector';
  return functionName.startsWith('write') ? 'writes to sockets' : 'V8 and the system';
}

/** How much each part has used by itself, most first. @returns shares of the whole */
export function sharesOf(root: Frame): [part: string, share: number][] {
  const used = new Map<string, number>();
  const visit = (frame: Frame) => {
    used.set(frame.part, (used.get(frame.part) ?? 0) + frame.own);
    frame.called.forEach(visit);
  };
  root.called.forEach(visit);
  return [...used].map(([part, micros]): [string, number] => [part, micros / root.total]).sort((a, b) => b[1] - a[1]);
}
