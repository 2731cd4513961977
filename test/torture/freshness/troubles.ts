import { setTimeout as sleep } from 'node:timers/promises';
import { commandOptions } from 'redis4';
import { withClient, type PostgresServer } from '../../support/servers';
import type { Fault } from '../../support/tcp-proxy';
import type { Node, Stage } from './stage';

/** `begins`: from now on not everything that is written can be forgotten at once. */
type Trouble = (stage: Stage, begins: () => void) => Promise<void>;

const anyOf = ({ context, nodes }: Stage): Node => context.pick(nodes);

const AWAY: Fault[] = [{ kind: 'half-open' }, { kind: 'refuse' }, { kind: 'slow', bytesPerSecond: 200 }];

/** What happens while things are read and written. Each is over when it returns; then the processes recover. */
export const TROUBLES: Record<string, Trouble> = {
  'a process is killed': async (stage, begins) => {
    begins();
    const node = anyOf(stage);
    await stage.kill(node);
    await sleep(stage.context.below(500));
    await stage.revive(node);
  },

  /** It commits, waits for Redis to forget, and is no more. */
  'a process is killed between commit and forgetting': async (stage, begins) => {
    begins();
    const node = anyOf(stage);
    await node.redis.set({ kind: 'half-open' });
    await sleep(50 + stage.context.below(200));
    await stage.kill(node);
    await node.redis.heal();
    await stage.revive(node);
  },

  'a process does not reach Redis': async (stage, begins) => {
    begins();
    const node = anyOf(stage);
    await node.redis.set(stage.context.pick(AWAY));
    await sleep(200 + stage.context.below(1500));
    await node.redis.heal();
  },

  'connections to Redis are reset': async ({ nodes }, begins) => {
    begins();
    for (const { redis } of nodes) redis.reset();
  },

  'Redis is killed': async (stage, begins) => {
    begins();
    await stage.killRedis();
    await sleep(stage.context.below(800));
    await stage.reviveRedis();
  },

  'Redis is killed, and a process as well': async (stage, begins) => {
    begins();
    const node = anyOf(stage);
    await Promise.all([stage.killRedis(), stage.kill(node)]);
    await Promise.all([stage.reviveRedis(), stage.revive(node)]);
  },

  /** As after a failover to a replica that lags behind, or with a file that is not written at once. */
  'Redis is killed and comes back with what it had': async (stage, begins) => {
    const held = await cacheOf(stage);
    await sleep(500 + stage.context.below(1000));
    begins(); // what was written meanwhile has been forgotten, and must not be back
    for (const { redis } of stage.nodes) await redis.set({ kind: 'refuse' });
    await stage.killRedis();
    await stage.reviveRedis();
    await Promise.all([...held].map(([key, value]) => stage.client.set(key, value, { EX: 1800 })));
    for (const { redis } of stage.nodes) await redis.heal();
  },
};

async function cacheOf({ client }: Stage): Promise<Map<string, Buffer>> {
  const keys = await client.keys('cache:*');
  const values = keys.length > 0 ? await client.mGet(commandOptions({ returnBuffers: true }), keys) : [];
  return new Map(keys.flatMap((key, index) => (values[index] ? [[key, values[index]]] : [])));
}

/** Loses cached keys, as Redis does when it is full or their time is over, and all of them now and then. */
export async function evict({ context, client }: Stage, ended: AbortSignal): Promise<number> {
  let evicted = 0;
  while (!ended.aborted) {
    await sleep(5 + context.below(20));
    try {
      const key = await client.randomKey();
      if (context.random() < 0.01) await client.flushAll();
      else if (key?.startsWith('cache:'))
        await (context.random() < 0.5 ? client.del(key) : client.pExpire(key, 1 + context.below(50)));
      evicted += 1;
    } catch {
      // Redis is being killed.
    }
  }
  return evicted;
}

/** What a replica goes through while it answers: it stands still, hears nothing, is cut off, is killed. No read may be older for it. */
const LAGS: ((stage: Stage, ms: number) => Promise<void>)[] = [
  async ({ replica }, ms) => {
    await ask(replica, 'select pg_wal_replay_pause()');
    await sleep(ms);
    await ask(replica, 'select pg_wal_replay_resume()');
  },
  async ({ replica }, ms) => {
    const [receiver] = await ask<{ pid: number }>(replica, 'select pid from pg_stat_wal_receiver');
    if (!receiver) return;
    process.kill(receiver.pid, 'SIGSTOP');
    await sleep(ms);
    process.kill(receiver.pid, 'SIGCONT');
  },
  async (stage, ms) => {
    const { replica } = anyOf(stage);
    await replica.set(stage.context.pick(AWAY));
    await sleep(ms);
    await replica.heal();
  },
  async (stage, ms) => {
    await stage.replica.stop('SIGQUIT'); // by SIGKILL its shared memory would be left
    await sleep(ms);
    stage.replica = await stage.replica.restart();
  },
];

const ask = <Row extends object>(server: PostgresServer, text: string): Promise<Row[]> =>
  withClient(server.url('postgres'), async (client) => (await client.query<Row>(text)).rows);

export async function lag(stage: Stage, ended: AbortSignal): Promise<number> {
  const { context } = stage;
  for (let lags = 0; ; lags++) {
    await sleep(context.below(3000), undefined, { signal: ended }).catch(() => undefined);
    if (ended.aborted) return lags;
    await context.pick(LAGS)(stage, context.below(600));
  }
}
