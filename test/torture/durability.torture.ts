import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from '../support/database';
import { findFaults } from './durability/checker';
import { Stage } from './durability/stage';
import { Traffic } from './durability/traffic';
import { leftUndone, sealedLog, written } from './durability/truth';
import type { TortureContext } from './harness/torture';

export const promise =
  'while PostgreSQL, API and worker are killed at random, each acknowledged write is there once, with its one audit event and its one effect, ' +
  'the sealed audit log verifies, and whoever was killed is back within 5 s';
/** Acknowledged writes. */
export const ops = 50_000;
export const shortOps = 200;

/** Each of the three is killed so often. */
const KILLS = 20;
const LONGEST_MS = 5000;
/** Whoever is not back by then will not be. */
const PATIENCE_MS = 60_000;

const VICTIMS = ['postgres', 'api', 'worker'] as const;
type Victim = (typeof VICTIMS)[number];

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const stage = await Stage.open(context);
  const traffic = await Traffic.prepare(stage);
  const ending = new AbortController();
  const stop = () => ending.abort();
  const flowing = traffic.flow(ending.signal).finally(stop);
  const killing = killAll(stage, traffic, ending.signal).finally(stop);
  const [backs] = await Promise.all([killing, flowing]).finally(() => (traffic.isOver = true));

  context.progress('looking at what is there');
  const undone = await leftUndone(stage.adminUrl);
  const { rows, events } = await written(stage.adminUrl);
  const log = await sealedLog(stage.settings);
  const faults = [...findFaults(traffic.writes, rows, events), ...undone, ...log.faults];
  for (const fault of faults) context.attempt(false, () => fault);
  context.attempted += traffic.acknowledged;
  const slowest = Object.fromEntries(VICTIMS.map((victim) => [`${victim}BackMs`, Math.max(...backs[victim])]));
  const { retries, replays } = traffic;
  return {
    kills: VICTIMS.length * backs.api.length,
    ...slowest,
    retries,
    replays,
    rows: rows.length,
    sealedEvents: log.events,
  };
}

/** In an order and at moments of chance, while the writes go on. @returns the ms until each was back */
async function killAll(stage: Stage, traffic: Traffic, ended: AbortSignal): Promise<Record<Victim, number[]>> {
  const { context } = stage;
  const each = Math.max(1, Math.round((KILLS * context.ops) / ops));
  const victims = VICTIMS.flatMap((victim) => Array.from({ length: each }, () => victim));
  const moments = victims.map(() => context.below(context.ops)).sort((one, other) => one - other);
  const backs: Record<Victim, number[]> = { postgres: [], api: [], worker: [] };
  const written = (count: number) => until(() => traffic.acknowledged >= count || ended.aborted, Infinity);
  for (const moment of moments) {
    await written(moment);
    if (ended.aborted) break;
    const [victim] = victims.splice(context.below(victims.length), 1) as [Victim];
    const back = await killOne(stage, traffic, victim);
    backs[victim].push(back);
    if (context.ops >= ops) {
      // In short, others use the machine as well.
      context.attempt(back <= LONGEST_MS, () => `${victim} was back after ${Math.round(back)} ms`);
    }
    context.progress(`${traffic.acknowledged} of ${context.ops}: ${victim} was back after ${Math.round(back)} ms`);
  }
  await written(context.ops);
  return backs;
}

/** Kills it in the middle of the work. @returns the ms until it does its work again: acknowledge a write, or embed a document */
async function killOne(stage: Stage, traffic: Traffic, victim: Victim): Promise<number> {
  const { context, nodes, adminUrl } = stage;
  await sleep(context.below(20));
  const killed = performance.now();
  const node = context.pick(nodes);
  if (victim === 'postgres') await stage.killPostgres();
  else if (victim === 'api') await stage.killNode(node);
  else await stage.killWorker();
  const [dead, deadAt] = [performance.now(), new Date()];
  if (victim === 'worker') await until(() => hasEmbeddedSince(adminUrl, deadAt), PATIENCE_MS);
  else await until(() => traffic.hasAcknowledgedSince(dead, victim === 'api' ? node : undefined), PATIENCE_MS);
  const back = performance.now() - killed;
  await stage.revived();
  return back;
}

async function hasEmbeddedSince(adminUrl: string, time: Date): Promise<boolean> {
  const text = `select from audit_events where action = 'document.embedded' and occurred_at > $1 limit 1`;
  return (await sql(adminUrl, text, [time])).length > 0;
}

/** @throws if it does not hold by then */
async function until(holds: () => boolean | Promise<boolean>, longest: number): Promise<void> {
  for (const started = performance.now(); !(await holds()); await sleep(5)) {
    if (performance.now() - started > longest) throw new Error(`Nothing came back within ${longest} ms.`);
  }
}
