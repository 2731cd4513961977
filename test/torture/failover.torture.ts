import { setTimeout as sleep } from 'node:timers/promises';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { buildCommonPasswords } from '../support/common-passwords';
import { HttpClient } from '../support/http';
import { PatroniCluster, type PatroniNode } from '../support/patroni';
import { startApi } from '../support/platform';
import { missingServers, startRedis, withClient } from '../support/servers';
import { failedInPeace, faultsOf, recoveryOf } from './failover/ledger';
import { PROMOTIONS, QUICK, type Promotion } from './failover/promotions';
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

interface Stage {
  context: TortureContext;
  cluster: PatroniCluster;
  http: HttpClient;
  traffic: Traffic;
}

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const promotions = plan(context); // before anything else takes from chance
  const stage = await open(context);
  const slowest: Record<string, number> = {};
  for (const [index, promotion] of promotions.entries()) {
    const recovery = await suffer(stage, promotion);
    const figure = `${promotion.figure}Ms`;
    slowest[figure] = Math.max(slowest[figure] ?? 0, recovery);
    context.progress(`${index + 1} of ${context.ops}: ${promotion.name}, writes again after ${Math.round(recovery)} ms`);
  }
  await stage.traffic.end();
  await judge(stage);
  return { ...slowest, ...stage.traffic.figures };
}

/** Each kind as often as any other, in an order of chance; in a short attack only those that are soon over. */
function plan(context: TortureContext): Promotion[] {
  const kinds = context.ops < PROMOTIONS.length ? QUICK : PROMOTIONS;
  const planned: Promotion[] = [];
  for (let waiting = [...kinds]; planned.length < context.ops; waiting = waiting.length > 0 ? waiting : [...kinds]) {
    planned.push(...waiting.splice(context.below(waiting.length), 1));
  }
  return planned;
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
async function suffer({ context, cluster, http, traffic }: Stage, promotion: Promotion): Promise<number> {
  const { name, boundMs } = promotion;
  await sleep(500 + context.below(1000));
  const primary = await cluster.leader();
  const at = performance.now();
  await promotion.begin(cluster, primary);
  const isPromoted = await untilAnotherLeads(cluster, primary);
  context.attempt(isPromoted, () => `${name}: nobody has taken over from ${primary.name}`);
  await sleep(1000);
  promotion.end?.(primary);
  await cluster.untilWell();
  await sleep(1000);

  const requests = traffic.take();
  const recovery = recoveryOf(requests, at);
  context.attempt(recovery <= boundMs, () => `${name}: writes were possible again after ${Math.round(recovery)} ms`);
  for (const { what, is, sent } of failedInPeace(requests, at, boundMs)) {
    context.attempt(false, () => `${name}: ${what}, sent ${Math.round(sent - at)} ms after it, was answered by ${is}`);
  }
  const { status, body } = await http.get('/health/ready');
  context.attempt(status === 200 && body.status === 'ok', () => `${name}: afterwards readiness says ${JSON.stringify(body)}`);
  return recovery;
}

async function untilAnotherLeads(cluster: PatroniCluster, former: PatroniNode): Promise<boolean> {
  for (const end = Date.now() + LONGEST_MS; Date.now() < end; await sleep(100)) {
    const leader = (await cluster.members()).find(({ role }) => role === 'leader');
    if (leader && leader.name !== former.name) return true;
  }
  return false;
}

/** What learners were told is there, once; and each message has its row in the audit log. */
async function judge({ context, cluster, traffic }: Stage): Promise<void> {
  for await (const { asked, kept } of traffic.kept()) {
    const faults = faultsOf(asked, kept);
    context.attempted += asked.length;
    for (const fault of faults) context.attempt(false, () => fault);
  }
  const { rows } = await withClient(cluster.url('postgres'), (client) =>
    client.query<{ messages: number; events: number }>(
      `select (select count(*)::int from chat_messages where user_id = any($1)) as messages,
              (select count(*)::int from audit_events where learner_id = any($1) and action = 'chat.message-appended') as events`,
      [traffic.learners],
    ),
  );
  const { messages, events } = rows[0]!;
  context.attempt(messages === events, () => `${messages} messages, and ${events} of them in the audit log`);
}
