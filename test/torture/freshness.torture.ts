import { setTimeout as sleep } from 'node:timers/promises';
import { BOUND_MS, type Stale } from './freshness/checker';
import { History } from './freshness/history';
import { Stage } from './freshness/stage';
import { Traffic } from './freshness/traffic';
import { evict, lag, TROUBLES } from './freshness/troubles';
import type { TortureContext } from './harness/torture';

export const promise =
  'no read with a token is older than the write that the token is of; none without is older than what was acknowledged 100 ms before, ' +
  'or a second after Redis or a killed process is back; also where a replica answers that lags, hears nothing, is cut off or killed';
export const ops = 1_000_000;
export const shortOps = 3000;

const JUDGE_EVERY_MS = 2000;

/** Each is a process or a server less for seconds: in a long run most operations are between them. */
const MOST_TROUBLES = 150;

/** Two processes are read and written through at random, while keys are lost, a replica lags, processes and Redis die and are cut off. */
export async function run(context: TortureContext) {
  return readAndWrite(await Stage.open(context, 2));
}

/** @param troubles the names of those that are made; with `untilFound` it ends with the first stale read */
export async function readAndWrite(stage: Stage, { troubles = Object.keys(TROUBLES), untilFound = false } = {}) {
  const { context } = stage;
  const history = new History();
  const traffic = await Traffic.prepare(stage, history);
  const ending = new AbortController();
  const judge = () => {
    const { reads, stale } = history.judge();
    for (let read = 0; read < reads; read++) context.attempt(read >= stale.length, () => inWords(stale[read]!));
    if (untilFound && stale.length > 0) ending.abort();
    context.progress(`${traffic.done} of ${context.ops}`);
  };
  const judging = setInterval(judge, JUDGE_EVERY_MS);
  try {
    const [, evictions, made, lags] = await Promise.all([
      traffic.flow(context.ops, ending.signal).finally(() => ending.abort()),
      evict(stage, ending.signal),
      makeTrouble(troubles, stage, history, traffic, ending.signal),
      lag(stage, ending.signal),
    ]);
    const byReplica = await answeredByReplica(stage);
    return {
      operations: traffic.done,
      byReplica,
      lags,
      writes: traffic.writes,
      troubles: made,
      evictions,
      failed: traffic.failed,
    };
  } finally {
    clearInterval(judging);
    ending.abort();
    judge();
  }
}

/** One trouble after the other, with time in between to be well again. */
async function makeTrouble(
  names: readonly string[],
  stage: Stage,
  history: History,
  traffic: Traffic,
  ended: AbortSignal,
): Promise<number> {
  if (names.length === 0) return 0;
  const { context } = stage;
  const waiting: string[] = [];
  for (let count = 0; ; count++) {
    await sleep(BOUND_MS + 500 + context.below(500), undefined, { signal: ended }).catch(() => undefined);
    while (!ended.aborted && traffic.done < (count * context.ops) / MOST_TROUBLES) await sleep(20);
    if (ended.aborted) return count;
    if (waiting.length === 0) waiting.push(...names);
    const [name] = waiting.splice(context.below(waiting.length), 1);
    let isOver: () => void = () => undefined;
    await TROUBLES[name!]!(stage, () => (isOver = history.trouble()));
    await stage.untilWell();
    isOver();
    await traffic.tellTruth();
  }
}

/** Of the processes as they are at the end. */
async function answeredByReplica({ nodes }: Stage): Promise<number> {
  const texts = await Promise.all(nodes.map(async ({ http }) => (await http.get('/metrics')).text));
  const counts = texts.map((text) => /^studently_replica_reads_total\{.*outcome="answered".*\} (\d+)$/m.exec(text)?.[1]);
  return counts.reduce((sum, count) => sum + Number(count ?? 0), 0);
}

function inWords({ read, level, because }: Stale): string {
  const why = because === 'token' ? 'its token is of' : 'this was due:';
  return `${read.thing} was read as ${read.level} at ${Math.round(read.sent)} ms, ${why} ${level}`;
}
