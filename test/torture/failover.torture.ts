import { setTimeout as sleep } from 'node:timers/promises';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { buildCommonPasswords } from '../support/common-passwords';
import { sql } from '../support/database';
import { HttpClient } from '../support/http';
import { PatroniCluster, type PatroniNode } from '../support/patroni';
import { startApi } from '../support/platform';
import { missingServers, startRedis } from '../support/servers';
import { PROMOTIONS, QUICK, type Promotion } from './failover/promotions';
import { judge, planOf, suffer, type Stage as Suffering } from './failover/suffering';
import { Traffic } from './failover/traffic';
import type { TortureContext } from './harness/torture';

/**
 * What it judges by is tried in failover/ledger.spec.ts. What it has found: with PATRONI_ETCD3_HOSTS instead of PATRONI_ETCD_HOSTS a frozen
 * primary that wakes up takes the leader's key from whoever has taken over (Patroni 3.0.2), and the cluster is never well again.
 */
export const promise =
  'whether the primary crashes, is lost, freezes or is replaced, no acknowledged write is lost and none is done twice, no read is older than its ' +
  'token, and the API answers by 503 with Retry-After at worst, for 10 s after a crash and 30 s after the loss of a node';
/** Promotions. */
export const ops = 20;
export const shortOps = 1;

const LONGEST_MS = 60_000;

interface Stage extends Suffering {
  cluster: PatroniCluster;
}

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const kinds = context.ops < PROMOTIONS.length ? QUICK : PROMOTIONS; // in a short attack those that are soon over
  const promotions = planOf(context, kinds); // before anything else takes from chance
  const stage = await open(context);
  const slowest: Record<string, number> = {};
  for (const [index, promotion] of promotions.entries()) {
    const outage = await promote(stage, promotion);
    const figure = `${promotion.figure}Ms`;
    slowest[figure] = Math.max(slowest[figure] ?? 0, outage);
    context.progress(`${index + 1} of ${context.ops}: ${promotion.name}, no write for ${Math.round(outage)} ms`);
  }
  await stage.traffic.end();
  await judge(stage, async (text) => Number((await sql<{ count: string }>(stage.cluster.url('postgres'), text))[0]!.count));
  return { ...slowest, ...stage.traffic.figures };
}

async function open(context: TortureContext): Promise<Stage> {
  buildCommonPasswords();
  const missing = missingServers();
  if (missing.length > 0) throw new Error(`Missing: ${missing.join(', ')}. To get them: sudo scripts/provision-debian.sh`);
  context.progress('starting etcd, three servers under Patroni, HAProxy and Redis');
  const redis = await context.use(startRedis, (server) => server.stop());
  const cluster = await PatroniCluster.start(context);
  await new Migrations({ url: cluster.url('studently_migrator'), embedded: false }).up();
  const { url } = await startApi(context, {
    DATABASE_URL: cluster.url('studently'),
    DATABASE_REPLICA_URLS: cluster.url('studently', 'standbys'),
    REDIS_URL: redis.url,
    LOG_ACCESS: 'false',
  });
  const http = new HttpClient(url);
  const traffic = await context.use(
    () => Traffic.begin(context, http),
    (begun) => begun.stop(),
  );
  return { context, cluster, http, traffic };
}

/** @returns for how many ms no write was acknowledged */
async function promote(stage: Stage, promotion: Promotion): Promise<number> {
  const { context, cluster } = stage;
  await sleep(500 + context.below(1000));
  const primary = await cluster.leader();
  return suffer(stage, promotion, async () => {
    await promotion.begin(cluster, primary);
    const isPromoted = await untilAnotherLeads(cluster, primary);
    context.attempt(isPromoted, () => `${promotion.name}: nobody has taken over from ${primary.name}`);
    await sleep(1000);
    promotion.end?.(primary);
    await cluster.untilWell();
  });
}

async function untilAnotherLeads(cluster: PatroniCluster, former: PatroniNode): Promise<boolean> {
  for (const end = Date.now() + LONGEST_MS; Date.now() < end; await sleep(100)) {
    const leader = (await cluster.members()).find(({ role }) => role === 'leader');
    if (leader && leader.name !== former.name) return true;
  }
  return false;
}
